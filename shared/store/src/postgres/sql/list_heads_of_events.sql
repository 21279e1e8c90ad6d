-- Heads of these events, in order.
SELECT sequence, created_at, topic, key, hook, delivery, verdict, malformed, body_bytes, trace
FROM events
WHERE sequence = ANY ($1::BIGINT[])
ORDER BY sequence
