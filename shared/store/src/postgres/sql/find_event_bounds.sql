-- The last event number, the position up to which the log was dropped, and its size in bytes.
SELECT last, pruned_to, bytes FROM event_log
