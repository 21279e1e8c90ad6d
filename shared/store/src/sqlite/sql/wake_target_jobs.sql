-- Makes postponed jobs of a target that have not failed due now. Keys are the target's name, a slash, and the entity.
UPDATE jobs SET due_at = ?4, hinted_at = 0, updated_at = ?4
WHERE kind = ?1 AND key >= ?2 AND key < ?3 AND state = 'waiting' AND rung = 0 AND due_at > ?4
