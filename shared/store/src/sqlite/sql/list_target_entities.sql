-- Entities that a target knows, in order, after ?2; all of them, or (?3) those with an error.
SELECT reference, fingerprint, error, synced_at
FROM target_entities
WHERE target = ?1 AND reference > ?2 AND (NOT ?3 OR error IS NOT NULL)
ORDER BY reference
LIMIT ?4
