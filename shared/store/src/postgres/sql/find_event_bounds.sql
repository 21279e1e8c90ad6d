-- The last number given to an event, up to where the log was dropped, and the bytes it takes.
SELECT last, pruned_to, bytes FROM event_log
