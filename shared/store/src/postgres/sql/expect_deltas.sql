-- From now on page commits of the source look for deltas.
UPDATE sources SET deltas = true WHERE id = $1 AND NOT deltas
