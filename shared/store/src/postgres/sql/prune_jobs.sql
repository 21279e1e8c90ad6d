-- Of the jobs after $1 and up to $2, those that no source made and that were done or cancelled before $3 are forgotten.
DELETE FROM jobs
WHERE id > $1 AND id <= $2 AND source_id IS NULL AND state IN ('done', 'cancelled') AND updated_at < $3
