-- Objects that a target owns, in order, after ?2.
SELECT object, reference, part, remote_id, fingerprint, detail, error, updated_at
FROM target_objects
WHERE target = ?1 AND object > ?2
ORDER BY object
LIMIT ?3
