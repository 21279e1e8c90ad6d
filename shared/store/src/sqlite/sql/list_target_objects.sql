-- What a target owns, in order, after ?3; all of it, or what belongs to one entity.
SELECT object, reference, part, remote_id, fingerprint, detail, error, updated_at
FROM target_objects
WHERE target = ?1 AND (?2 IS NULL OR reference = ?2) AND object > ?3
ORDER BY object
LIMIT ?4
