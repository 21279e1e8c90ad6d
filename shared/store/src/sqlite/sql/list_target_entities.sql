-- Entities that a target knows, in order, after ?2.
SELECT reference, fingerprint, error, synced_at
FROM target_entities
WHERE target = ?1 AND reference > ?2
ORDER BY reference
LIMIT ?3
