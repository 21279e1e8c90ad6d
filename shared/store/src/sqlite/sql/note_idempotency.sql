-- Stores the outcome of the act of a key.
UPDATE idempotency SET outcome = ?3 WHERE actor = ?1 AND key = ?2
