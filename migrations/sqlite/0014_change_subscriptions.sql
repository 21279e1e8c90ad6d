-- Subscriptions to the change feed.
-- Which changes, as JSON; none: it follows events.
ALTER TABLE subscriptions ADD COLUMN changes TEXT;
-- Where it stands in the feed, as JSON, decided by pure rules.
ALTER TABLE subscriptions ADD COLUMN feed TEXT;
-- Of what was removed up to here it misses nothing.
ALTER TABLE subscriptions ADD COLUMN feed_seen INTEGER;
