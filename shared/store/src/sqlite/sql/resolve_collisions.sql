-- Finds the references of collisions: one walk through the source's entities, none if all are known.
UPDATE collisions SET ref = e.ref
FROM entities AS e
WHERE collisions.source_id = ?1 AND collisions.ref IS NULL AND e.source_id = ?1 AND e.key_hash = collisions.key_hash
  AND EXISTS (SELECT 1 FROM collisions AS c WHERE c.source_id = ?1 AND c.ref IS NULL)
