-- Makes a subscription that begins after $5, or changes what an existing one follows; that one stays where it stands.
INSERT INTO subscriptions (name, kind, topics, max_outstanding, position, seen, created_at)
VALUES ($1, $2, $3, $4, $5, $5, $6)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, topics = excluded.topics, max_outstanding = excluded.max_outstanding
