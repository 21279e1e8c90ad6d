-- Which leases of a batch of settlements still hold: place in the batch.
SELECT b.key, j.again_at IS NOT NULL, j.source_id, j.cycle, j.due_at IS NULL
FROM json_each(?1) AS b
CROSS JOIN jobs AS j ON j.id = b.value ->> 0
WHERE j.token = b.value ->> 1 AND j.state = 'running'
