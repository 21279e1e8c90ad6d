-- Dead letters of a subscription after a position, with the heads of those events that are still in the log.
SELECT e.sequence, e.created_at, e.topic, e.key, e.hook, e.delivery, e.verdict, e.malformed, e.body_bytes, e.trace,
    d.sequence AS dead_sequence, d.attempts, d.error, d.died_at, d.key AS dead_key
FROM dead_letters d LEFT JOIN events e ON e.sequence = d.sequence
WHERE d.subscription = $1 AND d.sequence > $2
ORDER BY d.sequence
LIMIT $3
