-- Waiting jobs written after $2, by a clock that has since been set back, become due at $1.
UPDATE jobs SET due_at = $1, hinted_at = 0, updated_at = $1
WHERE due_at IS NOT NULL AND state = 'waiting' AND due_at > $1 AND due_at < 9223372036854775807 AND updated_at > $2
