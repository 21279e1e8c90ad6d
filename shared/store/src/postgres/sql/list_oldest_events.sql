-- The oldest events, with what they take.
SELECT sequence, created_at, stored_bytes FROM events ORDER BY sequence LIMIT $1
