-- Entities of a target with an error, in order, after ?2: few among many, so they are found by their index.
SELECT reference, fingerprint, error, synced_at
FROM target_entities INDEXED BY target_entities_failing
WHERE target = ?1 AND reference > ?2 AND error IS NOT NULL
ORDER BY reference
LIMIT ?3
