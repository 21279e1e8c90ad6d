-- Dead letters of a subscription after a position, with the heads of those events that are still in the log.
SELECT e.sequence, e.created_at, e.topic, e.key, e.hook, e.delivery, e.verdict, e.malformed, e.body_bytes, e.trace,
    d.sequence, d.attempts, d.error, d.died_at, d.key
FROM dead_letters AS d LEFT JOIN events AS e ON e.sequence = d.sequence
WHERE d.subscription = ?1 AND d.sequence > ?2
ORDER BY d.sequence
LIMIT ?3
