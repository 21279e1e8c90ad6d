-- Stores the state of a subscription.
UPDATE subscriptions SET
    state = $2, blocked_reason = $3, position = $4, seen = $5, outstanding = $6, failing_since = $7, last_error = $8,
    missed_to = $9, book = $10, generation = $11, feed = $12, feed_seen = $13
WHERE name = $1
