-- Keeps a check until $3, unless it was ended or another scheduler has begun it.
UPDATE checks SET leased_until = $3 WHERE source_id = $1 AND token = $2 AND leased_until IS NOT NULL
