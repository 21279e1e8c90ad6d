-- Cancels the unfinished partitions of a cycle; the raised tokens fence off the workers that run them.
UPDATE jobs SET
    token = token + (state = 'running'), state = 'cancelled', due_at = NULL, worker = NULL, again_at = NULL,
    hinted_at = 0, updated_at = ?3
WHERE source_id = ?1 AND cycle = ?2 AND state IN ('waiting', 'running')
