-- What came of the newest attempt for an entity; without an error it is as it should be since ?4.
INSERT INTO target_entities (target, reference, error, synced_at) VALUES (?1, ?2, ?3, CASE WHEN ?3 IS NULL THEN ?4 END)
ON CONFLICT (target, reference) DO UPDATE
SET error = excluded.error, synced_at = coalesce(excluded.synced_at, target_entities.synced_at)
