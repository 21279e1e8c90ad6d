-- Deletes hours before this one.
DELETE FROM hook_hours WHERE hour < $1
