-- Takes a key of an actor; nothing if it is taken. Another transaction that is taking it is waited for.
INSERT INTO idempotency (actor, key, fingerprint, outcome, at) VALUES (?1, ?2, ?3, '', ?4) ON CONFLICT DO NOTHING
