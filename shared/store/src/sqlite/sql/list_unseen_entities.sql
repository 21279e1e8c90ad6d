-- Entities that the newest complete cycles did not see, and that are still there, after ?2.
SELECT ref, missed, kept FROM misses WHERE source_id = ?1 AND ref > ?2 ORDER BY ref LIMIT ?3
