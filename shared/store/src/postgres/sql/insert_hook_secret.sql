-- Stores the newest secret of a hook.
INSERT INTO hook_secrets (hook, sealed, created_at) VALUES ($1, $2, $3)
