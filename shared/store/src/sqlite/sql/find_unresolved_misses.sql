-- Whether a miss does not know its entity yet.
SELECT EXISTS (SELECT 1 FROM misses WHERE source_id = ?1 AND ref IS NULL)
