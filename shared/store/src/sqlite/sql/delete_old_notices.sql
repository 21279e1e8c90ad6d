-- Forgets what a subscription was told of things that have been quiet since.
DELETE FROM notices WHERE subscription = ?1 AND created_at < ?2
