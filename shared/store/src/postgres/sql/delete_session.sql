-- Somebody signed out.
DELETE FROM sessions
WHERE hash = $1
