-- Appends an event and says where; no row: the delivery is in the log already.
INSERT INTO events (created_at, topic, key, hook, delivery, verdict, malformed, body_bytes, stored_bytes, trace, headers, packed, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (hook, delivery) WHERE hook IS NOT NULL DO NOTHING
RETURNING sequence
