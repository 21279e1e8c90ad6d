-- Entities that the newest complete cycles did not see, and that are still there.
SELECT ref, missed, kept FROM misses WHERE source_id = $1 AND ref IS NOT NULL ORDER BY ref LIMIT $2
