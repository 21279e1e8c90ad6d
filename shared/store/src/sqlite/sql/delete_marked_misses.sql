-- Deletes misses that are back or were found elsewhere.
DELETE FROM misses WHERE source_id = ?1 AND key_hash IN (SELECT value FROM json_each(?2))
