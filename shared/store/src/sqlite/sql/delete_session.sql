-- Ends a session on sign-out.
DELETE FROM sessions
WHERE hash = ?1
