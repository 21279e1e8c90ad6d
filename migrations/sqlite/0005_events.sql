-- The log of events, in commit order: deliveries of hooks, and what Tideline tells of itself. The body comes last, so that
-- reading the heads touches no long row.
CREATE TABLE events (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at   INTEGER NOT NULL,
    topic        TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    hook         TEXT,
    delivery     TEXT,
    verdict      TEXT    NOT NULL CHECK (verdict IN ('verified', 'unsigned', 'fetched', 'published', 'own')),
    malformed    INTEGER NOT NULL DEFAULT 0,
    body_bytes   INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    trace        TEXT,
    headers      TEXT    NOT NULL DEFAULT '[]',
    -- Compressed with zstd.
    packed       INTEGER NOT NULL DEFAULT 0,
    body         BLOB    NOT NULL,
    CHECK ((hook IS NULL) = (delivery IS NULL))
) STRICT;

CREATE UNIQUE INDEX events_delivery ON events (hook, delivery) WHERE hook IS NOT NULL;

-- One row: bytes that the log takes, and up to where it was dropped.
CREATE TABLE event_log (
    pruned_to    INTEGER NOT NULL,
    bytes        INTEGER NOT NULL
) STRICT;

INSERT INTO event_log (pruned_to, bytes) VALUES (0, 0);

CREATE TRIGGER count_event_bytes AFTER INSERT ON events
BEGIN
    UPDATE event_log SET bytes = bytes + NEW.stored_bytes;
END;

-- What Tideline tells of itself is written by triggers, so in the transaction of the act that it tells of, and no act can
-- forget it. To tell of something new, insert into this view.
CREATE VIEW own_events AS SELECT topic, key, created_at, CAST(body AS TEXT) AS body FROM events WHERE verdict = 'own';

CREATE TRIGGER append_own_event INSTEAD OF INSERT ON own_events
BEGIN
    INSERT INTO events (created_at, topic, key, verdict, body_bytes, stored_bytes, body)
    VALUES (
        NEW.created_at, NEW.topic, NEW.key, 'own', length(CAST(NEW.body AS BLOB)), length(CAST(NEW.body AS BLOB)) + 200,
        CAST(NEW.body AS BLOB));
END;

CREATE TRIGGER tell_cycle_started AFTER INSERT ON cycles
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    SELECT 'cycle.started', s.name, NEW.started_at,
        json_object('source', s.name, 'cycle', NEW.number, 'trigger', NEW.trigger)
    FROM sources AS s WHERE s.id = NEW.source_id;
END;

CREATE TRIGGER tell_cycle_ended AFTER UPDATE OF state ON cycles
WHEN NEW.state <> OLD.state AND NEW.state IN ('complete', 'incomplete', 'cancelled')
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    SELECT 'cycle.' || CASE NEW.state WHEN 'complete' THEN 'completed' ELSE NEW.state END, s.name,
        coalesce(NEW.ended_at, NEW.started_at),
        json_object(
            'source', s.name, 'cycle', NEW.number, 'reason', NEW.reason, 'removed', NEW.removed,
            'totals', json(coalesce(NEW.totals, 'null')))
    FROM sources AS s WHERE s.id = NEW.source_id;
END;

CREATE TRIGGER tell_sweep_held AFTER UPDATE OF held_cycle ON sources
WHEN NEW.held_cycle IS NOT NULL AND NEW.held_cycle IS NOT OLD.held_cycle
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    VALUES (
        'sweep.held', NEW.name, NEW.held_at,
        json_object(
            'source', NEW.name, 'cycle', NEW.held_cycle, 'reason', NEW.held_reason, 'would_remove', NEW.held_removals,
            'owned', NEW.held_owned));
END;

-- No moment comes with the act, so this is the database's.
CREATE TRIGGER tell_source_blocked AFTER UPDATE OF state ON sources
WHEN NEW.state = 'blocked' AND OLD.state <> 'blocked'
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    VALUES (
        'source.blocked', NEW.name, CAST(unixepoch('subsec') * 1000 AS INTEGER),
        json_object('source', NEW.name, 'reason', NEW.blocked_reason));
END;

CREATE TRIGGER tell_job_parked AFTER UPDATE OF state ON jobs
WHEN NEW.state = 'parked' AND OLD.state <> 'parked'
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    VALUES (
        'job.parked', NEW.kind || ' ' || NEW.key, NEW.updated_at,
        json_object(
            'job', NEW.id, 'kind', NEW.kind, 'key', NEW.key, 'attempt', NEW.attempt, 'error', NEW.last_error,
            'source', (SELECT s.name FROM sources AS s WHERE s.id = NEW.source_id)));
END;
