-- Targets by name; all of them, or the one of this name.
SELECT name, target_type, state, configured, place, holds, hold_until, hold_reason, created_at
FROM targets
WHERE ?1 IS NULL OR name = ?1
ORDER BY name
