-- Deletes collisions that at most one place still shows.
DELETE FROM collisions WHERE source_id = ?1 AND key_hash IN (SELECT value FROM json_each(?2))
