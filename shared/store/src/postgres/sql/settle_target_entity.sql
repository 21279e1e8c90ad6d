-- What came of the newest attempt for an entity; without an error it is as it should be since $4.
INSERT INTO target_entities AS e (target, reference, error, synced_at)
VALUES ($1, $2, $3::TEXT, CASE WHEN $3::TEXT IS NULL THEN $4::BIGINT END)
ON CONFLICT (target, reference) DO UPDATE
SET error = excluded.error, synced_at = coalesce(excluded.synced_at, e.synced_at)
