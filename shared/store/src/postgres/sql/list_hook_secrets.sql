-- The sealed secrets of a hook, newest first.
SELECT sealed FROM hook_secrets WHERE hook = $1 ORDER BY id DESC
