-- Topics of the events after a place and up to another one, each once.
SELECT DISTINCT topic FROM events WHERE sequence > $1 AND sequence <= $2
