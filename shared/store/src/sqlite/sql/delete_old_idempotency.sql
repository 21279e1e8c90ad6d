-- Deletes keys that were used before a moment, a few at a time.
DELETE FROM idempotency WHERE (actor, key) IN (SELECT actor, key FROM idempotency WHERE at < ?1 LIMIT ?2)
