-- Live entities that the newest complete cycles did not see, after $2.
SELECT ref, missed, kept FROM misses WHERE source_id = $1 AND ref > $2 ORDER BY ref LIMIT $3
