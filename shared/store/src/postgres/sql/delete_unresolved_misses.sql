-- Misses without a live entity mean nothing.
DELETE FROM misses WHERE source_id = $1 AND ref IS NULL
