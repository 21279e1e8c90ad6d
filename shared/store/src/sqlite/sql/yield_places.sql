-- Partitions that wait on their ladder free their places for partitions that can run now. 4611686018427387904 is
-- NO_PLACE.
UPDATE jobs SET due_at = due_at + 4611686018427387904
WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at > ?3 AND due_at < 4611686018427387904 AND rung > 0
