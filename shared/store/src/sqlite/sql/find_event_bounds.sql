-- The last event number, the position up to which the log was dropped, and its size in bytes.
SELECT max(coalesce((SELECT max(sequence) FROM events), 0), l.pruned_to), l.pruned_to, l.bytes FROM event_log AS l
