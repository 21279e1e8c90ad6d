-- Records the outcome of the newest attempts for entities; without an error, an entity is in sync since ?3.
INSERT INTO target_entities (target, reference, fingerprint, error, synced_at)
SELECT ?1, n.value ->> 0, n.value ->> 2, n.value ->> 1, CASE WHEN n.value ->> 1 IS NULL THEN ?3 END
FROM json_each(?2) AS n
WHERE true
ON CONFLICT (target, reference) DO UPDATE SET
    fingerprint = coalesce(excluded.fingerprint, target_entities.fingerprint),
    error = excluded.error,
    synced_at = coalesce(excluded.synced_at, target_entities.synced_at)
