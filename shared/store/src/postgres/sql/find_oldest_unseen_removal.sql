-- When the oldest removal was committed that a live subscription to the change feed has yet to be told of; null: there is none.
SELECT min(changed_at) AS changed_at FROM entities
WHERE change = 'removed' AND sequence > (SELECT min(feed_seen) FROM subscriptions WHERE state = 'active' AND changes IS NOT NULL)
