-- Waiting jobs that were written after ?2, by a clock that has been set back since, are due at ?1. Those without a place go on
-- waiting for one (null), but not on their ladder.
UPDATE jobs SET due_at = CASE WHEN due_at < 4611686018427387904 THEN ?1 END, hinted_at = 0, updated_at = ?1
WHERE state = 'waiting' AND due_at > ?1 AND updated_at > ?2
