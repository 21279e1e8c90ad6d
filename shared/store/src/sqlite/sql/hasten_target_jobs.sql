-- Some jobs of a target that were put off without having failed are due now. Keys are the target's name, a slash, and the entity.
UPDATE jobs SET due_at = ?4, hinted_at = 0, updated_at = ?4
WHERE id IN (
    SELECT j.id FROM jobs j
    WHERE j.kind = ?1 AND j.key >= ?2 AND j.key < ?3 AND j.state = 'waiting' AND j.rung = 0 AND j.due_at > ?4
    LIMIT ?5)
