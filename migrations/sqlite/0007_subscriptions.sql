-- Who follows the log of events. A subscription's row is its own lock: what is outstanding is in `book`, decided by pure rules.
CREATE TABLE subscriptions (
    name            TEXT    PRIMARY KEY,
    kind            TEXT    NOT NULL CHECK (kind IN ('pull', 'push')),
    topics          TEXT    NOT NULL,
    max_outstanding INTEGER NOT NULL CHECK (max_outstanding >= 1),
    state           TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'blocked')),
    blocked_reason  TEXT,
    -- Everything up to here was looked at, and everything up to `seen` is done with.
    position        INTEGER NOT NULL,
    seen            INTEGER NOT NULL,
    outstanding     INTEGER NOT NULL DEFAULT 0,
    failing_since   INTEGER,
    last_error      TEXT,
    missed_to       INTEGER,
    created_at      INTEGER NOT NULL,
    book            TEXT    NOT NULL DEFAULT '[]'
) STRICT, WITHOUT ROWID;

-- Events that were given up, and wait for a person.
CREATE TABLE dead_letters (
    subscription    TEXT    NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    sequence        INTEGER NOT NULL,
    key             TEXT    NOT NULL,
    attempts        INTEGER NOT NULL,
    error           TEXT    NOT NULL,
    died_at         INTEGER NOT NULL,
    PRIMARY KEY (subscription, sequence)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tell_subscription_failing AFTER UPDATE OF failing_since ON subscriptions
WHEN NEW.failing_since IS NOT NULL AND OLD.failing_since IS NULL
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    VALUES (
        'subscription.failing', NEW.name, NEW.failing_since,
        json_object('subscription', NEW.name, 'error', NEW.last_error));
END;

-- No moment comes with the act, so this is the database's.
CREATE TRIGGER tell_subscription_blocked AFTER UPDATE OF state ON subscriptions
WHEN NEW.state = 'blocked' AND OLD.state <> 'blocked'
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    VALUES (
        'subscription.blocked', NEW.name, CAST(unixepoch('subsec') * 1000 AS INTEGER),
        json_object('subscription', NEW.name, 'reason', NEW.blocked_reason));
END;

-- Not of a dead letter that tells of a dead letter: a subscription to everything would never come to an end.
CREATE TRIGGER tell_dead_letter AFTER INSERT ON dead_letters
WHEN NOT EXISTS (SELECT 1 FROM events AS e WHERE e.sequence = NEW.sequence AND e.topic = 'subscription.dead_letter')
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    VALUES (
        'subscription.dead_letter', NEW.subscription, NEW.died_at,
        json_object(
            'subscription', NEW.subscription, 'event', CAST(NEW.sequence AS TEXT), 'key', NEW.key, 'attempts', NEW.attempts,
            'error', NEW.error));
END;
