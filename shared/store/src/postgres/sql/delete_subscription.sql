-- Deletes a subscription with its dead letters.
DELETE FROM subscriptions WHERE name = $1
