-- Records these entities as in sync since $3, except those with an error: a failed attempt since then takes precedence.
UPDATE target_entities e SET synced_at = $3
FROM unnest($2::TEXT[]) AS n (reference)
WHERE e.target = $1 AND e.reference = n.reference AND e.error IS NULL
