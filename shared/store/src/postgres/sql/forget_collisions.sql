-- Deletes collisions of references.
DELETE FROM collisions WHERE source_id = $1
