-- Heads of events after a place, in commit order.
SELECT sequence, created_at, topic, key, hook, delivery, verdict, malformed, body_bytes, trace
FROM events
WHERE sequence > ?1
ORDER BY sequence
LIMIT ?2
