-- Reserves a key of an actor; does nothing if it is taken. Waits for another transaction that is reserving it.
INSERT INTO idempotency (actor, key, fingerprint, outcome, at) VALUES ($1, $2, $3, '', $4) ON CONFLICT DO NOTHING
