-- Commit time of the oldest removal that a live subscription to the change feed has not seen; null: there is none.
SELECT min(changed_at) AS changed_at FROM entities
WHERE change = 'removed' AND sequence > (SELECT min(feed_seen) FROM subscriptions WHERE state = 'active' AND changes IS NOT NULL)
