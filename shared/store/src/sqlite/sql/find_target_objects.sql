-- Objects that a target owns for these entities: found by their index.
SELECT o.object, o.reference, o.part, o.remote_id, o.fingerprint, o.detail, o.error, o.updated_at
FROM json_each(?2) AS n
CROSS JOIN target_objects AS o INDEXED BY target_objects_entity ON o.target = ?1 AND o.reference = n.value
ORDER BY o.object
