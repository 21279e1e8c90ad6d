-- All that the first pages of these partitions hold is marked for this cycle.
UPDATE pages SET cycle = ?2, read_at = b.read_at
FROM (SELECT value ->> 0 AS id, value ->> 1 AS read_at FROM json_each(?1)) AS b
WHERE pages.partition_id = b.id AND pages.page = 0
