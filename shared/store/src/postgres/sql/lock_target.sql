-- Locks a target's row and reads it.
SELECT name, target_type, state, configured, place, holds, hold_until, hold_reason, created_at
FROM targets
WHERE name = $1
FOR UPDATE
