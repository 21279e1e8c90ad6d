-- Forgets which entities the source missed.
DELETE FROM misses WHERE source_id = ?1
