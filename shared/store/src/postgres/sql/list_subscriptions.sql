-- Subscriptions by name; all of them, or the one of this name. Dead letters are counted up to 100,000.
SELECT s.name, s.kind, s.topics, s.state, s.blocked_reason, s.position, s.outstanding, s.failing_since, s.last_error,
    s.missed_to, s.created_at, s.max_outstanding, s.book,
    (SELECT count(*) FROM (SELECT 1 FROM dead_letters AS d WHERE d.subscription = s.name LIMIT 100000) AS x) AS dead_letters,
    s.filter, s.push, s.generation,
    (SELECT e.created_at FROM events AS e WHERE e.sequence > s.seen ORDER BY e.sequence LIMIT 1) AS behind_since, s.changes, s.feed
FROM subscriptions AS s
WHERE $1::TEXT IS NULL OR s.name = $1
ORDER BY s.name
