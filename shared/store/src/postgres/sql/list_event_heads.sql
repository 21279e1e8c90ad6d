-- Heads of events after a place, in commit order; the first row says also up to where the log was dropped, in the same
-- snapshot; if there is no event, a row without one does.
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
