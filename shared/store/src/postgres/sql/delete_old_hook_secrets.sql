-- Deletes all but the newest $2 secrets of a hook.
DELETE FROM hook_secrets WHERE hook = $1 AND id NOT IN (
    SELECT h.id FROM hook_secrets AS h WHERE h.hook = $1 ORDER BY h.id DESC LIMIT $2
)
