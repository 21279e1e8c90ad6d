-- Subscriptions to the change feed.
ALTER TABLE subscriptions
    -- Which changes, as JSON; none: it follows events.
    ADD COLUMN changes   TEXT,
    -- Where it stands in the feed, as JSON, decided by pure rules.
    ADD COLUMN feed      TEXT,
    -- Of what was removed up to here it misses nothing.
    ADD COLUMN feed_seen BIGINT,
    ADD CHECK ((changes IS NULL) = (feed IS NULL) AND (feed IS NULL) = (feed_seen IS NULL));
