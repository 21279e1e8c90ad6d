-- Records the objects that a target owns, or updates the records; returns the objects that were recorded. Another
-- entity's object stays that entity's. In order, so that two writers never deadlock.
INSERT INTO target_objects AS o (target, object, reference, part, remote_id, fingerprint, detail, error, updated_at)
SELECT $1, n.object, n.reference, n.part, n.remote_id, n.fingerprint, n.detail, n.error, n.updated_at
FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::BIGINT[])
    AS n (object, reference, part, remote_id, fingerprint, detail, error, updated_at)
ORDER BY n.object
ON CONFLICT (target, object) DO UPDATE SET
    part = excluded.part, remote_id = excluded.remote_id, fingerprint = excluded.fingerprint, detail = excluded.detail,
    error = excluded.error, updated_at = excluded.updated_at
WHERE o.reference = excluded.reference
RETURNING o.object
