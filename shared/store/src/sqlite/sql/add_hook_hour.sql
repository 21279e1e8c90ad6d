-- Adds the webhooks of a hook to the counts of their hour.
INSERT INTO hook_hours (
    hook, hour, stored, duplicates, unproven, refused, unavailable, last_stored_at, last_error_at, last_error)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (hook, hour) DO UPDATE SET
    stored = stored + excluded.stored,
    duplicates = duplicates + excluded.duplicates,
    unproven = unproven + excluded.unproven,
    refused = refused + excluded.refused,
    unavailable = unavailable + excluded.unavailable,
    last_stored_at = max(coalesce(last_stored_at, excluded.last_stored_at), coalesce(excluded.last_stored_at, last_stored_at)),
    last_error_at = max(coalesce(last_error_at, excluded.last_error_at), coalesce(excluded.last_error_at, last_error_at)),
    last_error = coalesce(excluded.last_error, last_error)
