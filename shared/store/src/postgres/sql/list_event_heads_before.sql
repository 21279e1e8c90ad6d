-- Heads of events before a place, newest first.
SELECT sequence, created_at, topic, key, hook, delivery, verdict, malformed, body_bytes, trace
FROM events
WHERE sequence < $1
ORDER BY sequence DESC
LIMIT $2
