-- Objects that a target owns for one entity, in order, after $2: found by their index.
SELECT object, reference, part, remote_id, fingerprint, detail, error, updated_at
FROM target_objects
WHERE target = $1 AND object > $2 AND reference = $4
ORDER BY object
LIMIT $3
