-- Ends a check, unless it was ended or another scheduler has begun it; the next one is due at ?3.
UPDATE checks SET next_at = ?3, leased_until = NULL
WHERE source_id = ?1 AND token = ?2 AND leased_until IS NOT NULL
