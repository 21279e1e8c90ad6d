-- The last number given to an event, up to where the log was dropped, and the bytes it takes.
SELECT max(coalesce((SELECT max(sequence) FROM events), 0), l.pruned_to), l.pruned_to, l.bytes FROM event_log AS l
