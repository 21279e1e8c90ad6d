-- The outcome of the act that an actor performed under a key.
SELECT fingerprint, outcome FROM idempotency WHERE actor = $1 AND key = $2
