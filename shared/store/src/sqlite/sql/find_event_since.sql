-- The first event stored at or after a time.
SELECT sequence FROM events WHERE created_at >= ?1 ORDER BY sequence LIMIT 1
