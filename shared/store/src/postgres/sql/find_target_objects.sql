-- Objects that a target owns for these entities: found by their index.
SELECT o.object, o.reference, o.part, o.remote_id, o.fingerprint, o.detail, o.error, o.updated_at
FROM unnest($2::TEXT[]) AS n (reference)
CROSS JOIN LATERAL (SELECT * FROM target_objects o WHERE o.target = $1 AND o.reference = n.reference OFFSET 0) o
ORDER BY o.object
