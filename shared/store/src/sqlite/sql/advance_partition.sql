-- Advances the partition to this cursor, and resets its rung and rescues. The caller holds the fence.
UPDATE jobs SET cursor = ?2, progress = ?3, rung = 0, rescues = 0, updated_at = ?4 WHERE id = ?1
