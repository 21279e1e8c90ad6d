-- These partitions are done. The caller holds their fences.
UPDATE jobs SET
    state = 'done', due_at = NULL, cursor = NULL, progress = b.progress, attempt = 0, rung = 0, rescues = 0,
    last_error = NULL, worker = NULL, hinted_at = 0, updated_at = ?2
FROM (SELECT value ->> 0 AS id, value ->> 1 AS progress FROM json_each(?1)) AS b
WHERE jobs.id = b.id
