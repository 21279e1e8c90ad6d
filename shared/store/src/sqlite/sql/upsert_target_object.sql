-- Records what a target owns, or changes the record. Another entity's object stays that entity's.
INSERT INTO target_objects (target, object, reference, part, remote_id, fingerprint, detail, error, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (target, object) DO UPDATE SET
    part = excluded.part, remote_id = excluded.remote_id, fingerprint = excluded.fingerprint, detail = excluded.detail,
    error = excluded.error, updated_at = excluded.updated_at
WHERE target_objects.reference = excluded.reference
