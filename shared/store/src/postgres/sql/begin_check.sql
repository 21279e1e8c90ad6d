-- Begins the check of a source if it is due and no scheduler is running it; its previous holder writes nothing more.
UPDATE checks SET token = token + 1, leased_until = $2
WHERE source_id = $1 AND next_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
RETURNING token
