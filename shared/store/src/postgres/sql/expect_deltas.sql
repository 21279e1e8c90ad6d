-- Makes page commits of the source look for deltas from now on.
UPDATE sources SET deltas = true WHERE id = $1 AND NOT deltas
