-- Deletes misses that have no live entity.
DELETE FROM misses WHERE source_id = $1 AND ref IS NULL
