-- The oldest events, with their sizes.
SELECT sequence, created_at, stored_bytes FROM events ORDER BY sequence LIMIT ?1
