-- Deletes the source's misses.
DELETE FROM misses WHERE source_id = $1
