-- Locks a subscription: until the commit, no other transaction takes from it, settles its events or commands it.
SELECT s.name, s.kind, s.topics, s.state, s.blocked_reason, s.position, s.outstanding, s.failing_since, s.last_error,
    s.missed_to, s.created_at, s.max_outstanding, s.book,
    (SELECT count(*) FROM dead_letters AS d WHERE d.subscription = s.name) AS dead_letters,
    s.filter, s.push, s.generation,
    (SELECT e.created_at FROM events AS e WHERE e.sequence > s.seen ORDER BY e.sequence LIMIT 1) AS behind_since, s.changes, s.feed
FROM subscriptions AS s
WHERE s.name = $1
FOR NO KEY UPDATE OF s
