-- The first event that was stored at a moment or later.
SELECT sequence FROM events WHERE created_at >= ?1 ORDER BY sequence LIMIT 1
