-- Statistics since a time, oldest first.
SELECT minute, due, lag, running, parked, dead_letters, last_sequence, last_event, entities, failed_cycles
FROM samples WHERE minute >= $1 ORDER BY minute
