-- Heads of events after a place, in commit order; the first row also has the position up to which the log was dropped,
-- in the same snapshot; without events, there is one row with only that.
SELECT l.pruned_to, e.*
FROM event_log l
LEFT JOIN (
    SELECT sequence, created_at, topic, key, hook, delivery, verdict, malformed, body_bytes, trace
    FROM events
    WHERE sequence > $1
    ORDER BY sequence
    LIMIT $2
) e ON true
ORDER BY e.sequence
