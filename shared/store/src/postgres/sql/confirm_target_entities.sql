-- These entities are as they should be since $3, but for those with an error: an attempt that failed meanwhile knows better.
UPDATE target_entities e SET synced_at = $3
FROM unnest($2::TEXT[]) AS n (reference)
WHERE e.target = $1 AND e.reference = n.reference AND e.error IS NULL
