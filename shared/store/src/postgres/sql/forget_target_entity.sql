-- Deletes the record of an entity for which the target owns nothing.
DELETE FROM target_entities AS e
WHERE e.target = $1 AND e.reference = $2
    AND NOT EXISTS (SELECT 1 FROM target_objects AS o WHERE o.target = $1 AND o.reference = $2)
