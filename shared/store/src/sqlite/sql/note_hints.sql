-- Notes that hints for these jobs are sent now, so that no other scheduler sends them too.
UPDATE jobs SET hinted_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))
