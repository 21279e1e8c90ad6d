-- Inserts a subscription that begins after $5, or changes what an existing one follows; its position stays. A new
-- destination raises its generation. Does nothing if the existing one differs in kind (pull or push, events or
-- changes).
INSERT INTO subscriptions (name, kind, topics, max_outstanding, position, seen, created_at, filter, push, changes, feed, feed_seen)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (name) DO UPDATE SET
    kind = excluded.kind, topics = excluded.topics, max_outstanding = excluded.max_outstanding, filter = excluded.filter,
    changes = excluded.changes, push = excluded.push, generation = subscriptions.generation
        + CASE WHEN subscriptions.push IS DISTINCT FROM excluded.push THEN 1 ELSE 0 END
WHERE subscriptions.kind = excluded.kind AND (subscriptions.changes IS NULL) = (excluded.changes IS NULL)
