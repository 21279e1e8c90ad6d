-- Hours of all hooks since a moment, oldest first.
SELECT hook, hour, stored, duplicates, unproven, refused, unavailable, last_stored_at, last_error_at, last_error
FROM hook_hours WHERE hour >= $1 ORDER BY hook, hour
