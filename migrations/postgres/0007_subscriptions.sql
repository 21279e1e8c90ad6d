-- Who follows the log of events. A subscription's row is its own lock: what is outstanding is in `book`, decided by pure rules.
CREATE TABLE subscriptions (
    name            TEXT    COLLATE "C" PRIMARY KEY,
    position        BIGINT  NOT NULL,
    -- Everything up to `position` was looked at, and everything up to `seen` is done with.
    seen            BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL,
    failing_since   BIGINT,
    missed_to       BIGINT,
    outstanding     INTEGER NOT NULL DEFAULT 0,
    max_outstanding INTEGER NOT NULL CHECK (max_outstanding >= 1),
    kind            TEXT    NOT NULL CHECK (kind IN ('pull', 'push')),
    state           TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'blocked')),
    blocked_reason  TEXT,
    last_error      TEXT,
    topics          TEXT    NOT NULL,
    book            TEXT    NOT NULL DEFAULT '[]'
) WITH (fillfactor = 30);

-- Events that were given up, and wait for a person.
CREATE TABLE dead_letters (
    subscription    TEXT    COLLATE "C" NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    sequence        BIGINT  NOT NULL,
    key             TEXT    NOT NULL,
    attempts        INTEGER NOT NULL,
    error           TEXT    NOT NULL,
    died_at         BIGINT  NOT NULL,
    PRIMARY KEY (subscription, sequence)
);

CREATE FUNCTION tell_of_subscription() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_NAME = 'tell_subscription_failing' THEN
        PERFORM append_own_event('subscription.failing', NEW.name, NEW.failing_since,
            json_build_object('subscription', NEW.name, 'error', NEW.last_error));
    ELSE
        -- No moment comes with the act, so this is the database's.
        PERFORM append_own_event('subscription.blocked', NEW.name, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT,
            json_build_object('subscription', NEW.name, 'reason', NEW.blocked_reason));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION tell_of_dead_letter() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    -- Not of a dead letter that tells of a dead letter: a subscription to everything would never come to an end.
    IF NOT EXISTS (SELECT 1 FROM events e WHERE e.sequence = NEW.sequence AND e.topic = 'subscription.dead_letter') THEN
        PERFORM append_own_event('subscription.dead_letter', NEW.subscription, NEW.died_at,
            json_build_object('subscription', NEW.subscription, 'event', NEW.sequence::TEXT, 'key', NEW.key,
                'attempts', NEW.attempts, 'error', NEW.error));
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER tell_subscription_failing AFTER UPDATE OF failing_since ON subscriptions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.failing_since IS NOT NULL AND OLD.failing_since IS NULL)
    EXECUTE FUNCTION tell_of_subscription();

CREATE CONSTRAINT TRIGGER tell_subscription_blocked AFTER UPDATE OF state ON subscriptions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'blocked' AND OLD.state <> 'blocked')
    EXECUTE FUNCTION tell_of_subscription();

CREATE CONSTRAINT TRIGGER tell_dead_letter AFTER INSERT ON dead_letters
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell_of_dead_letter();
