-- Stores the traces of these cycles' starts with their roots; a root that has moved on to another cycle stays as it is.
UPDATE jobs SET trace = n.value ->> 2
FROM json_each(?1) AS n
WHERE jobs.id = n.value ->> 0 AND jobs.cycle = n.value ->> 1
