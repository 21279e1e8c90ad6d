-- Deletes those of the jobs after ?1 and up to ?2 that belong to no source and were done or cancelled before ?3.
DELETE FROM jobs
WHERE id > ?1 AND id <= ?2 AND source_id IS NULL AND state IN ('done', 'cancelled') AND updated_at < ?3
