-- Makes postponed jobs of a target that have not failed (?6: latest due time) due now, the next ones first. Keys are
-- the target's name, a slash, and the entity. (A plus keeps the planner from finding them by their keys, beside all
-- that are done.)
UPDATE jobs SET due_at = ?4, hinted_at = 0, updated_at = ?4
WHERE id IN (
    SELECT j.id FROM jobs j
    WHERE j.state = 'waiting' AND j.due_at > ?4 AND j.due_at <= ?6
        AND +j.kind = ?1 AND +j.key >= ?2 AND +j.key < ?3 AND j.rung = 0
    ORDER BY j.due_at, j.id
    LIMIT ?5)
