-- Adds the webhooks of a hook to the counts of their hour.
INSERT INTO hook_hours AS h (
    hook, hour, stored, duplicates, unproven, refused, unavailable, last_stored_at, last_error_at, last_error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (hook, hour) DO UPDATE SET
    stored = h.stored + excluded.stored,
    duplicates = h.duplicates + excluded.duplicates,
    unproven = h.unproven + excluded.unproven,
    refused = h.refused + excluded.refused,
    unavailable = h.unavailable + excluded.unavailable,
    last_stored_at = greatest(h.last_stored_at, excluded.last_stored_at),
    last_error_at = greatest(h.last_error_at, excluded.last_error_at),
    last_error = coalesce(excluded.last_error, h.last_error)
