-- Those of these entities that a target knows.
SELECT reference, fingerprint, error, synced_at
FROM target_entities
WHERE target = ?1 AND reference IN (SELECT value FROM json_each(?2))
