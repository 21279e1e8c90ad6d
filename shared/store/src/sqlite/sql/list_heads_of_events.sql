-- Heads of these events, in order.
SELECT sequence, created_at, topic, key, hook, delivery, verdict, malformed, body_bytes, trace
FROM events
WHERE sequence IN (SELECT value FROM json_each(?1))
ORDER BY sequence
