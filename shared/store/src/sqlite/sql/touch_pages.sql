-- All that these pages hold is marked for this cycle.
UPDATE pages SET cycle = ?2, read_at = ?4 WHERE partition_id = ?1 AND page IN (SELECT value FROM json_each(?3))
