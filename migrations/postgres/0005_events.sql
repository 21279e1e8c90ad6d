-- The log of events, in commit order: deliveries of hooks, and what Tideline tells of itself.
CREATE TABLE events (
    sequence     BIGINT  PRIMARY KEY,
    created_at   BIGINT  NOT NULL,
    body_bytes   BIGINT  NOT NULL,
    stored_bytes BIGINT  NOT NULL,
    malformed    BOOLEAN NOT NULL DEFAULT false,
    -- Compressed with zstd.
    packed       BOOLEAN NOT NULL DEFAULT false,
    topic        TEXT    COLLATE "C" NOT NULL,
    key          TEXT    COLLATE "C" NOT NULL,
    hook         TEXT    COLLATE "C",
    delivery     TEXT    COLLATE "C",
    verdict      TEXT    NOT NULL CHECK (verdict IN ('verified', 'unsigned', 'fetched', 'published', 'own')),
    trace        TEXT,
    headers      TEXT    NOT NULL DEFAULT '[]',
    body         BYTEA   NOT NULL,
    CHECK ((hook IS NULL) = (delivery IS NULL))
);

ALTER TABLE events ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX events_delivery ON events (hook, delivery) WHERE hook IS NOT NULL;

-- One row: the last number given to an event, bytes that the log takes, and up to where it was dropped. Whoever appends
-- holds it until the commit, so numbers are in commit order; it is always the last lock of a transaction.
CREATE TABLE event_log (
    last         BIGINT NOT NULL,
    pruned_to    BIGINT NOT NULL,
    bytes        BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO event_log (last, pruned_to, bytes) VALUES (0, 0, 0);

-- What Tideline tells of itself is written by triggers, so in the transaction of the act that it tells of, and no act can
-- forget it. They are deferred to the commit: the log is held no longer than that takes. To tell of something new, call
-- this function from a deferred trigger.
CREATE FUNCTION append_own_event(event_topic TEXT, event_key TEXT, event_at BIGINT, event_body JSON) RETURNS VOID
    LANGUAGE plpgsql
    AS $$
DECLARE
    content BYTEA := convert_to(event_body::TEXT, 'UTF8');
    number  BIGINT;
BEGIN
    UPDATE event_log SET last = last + 1, bytes = bytes + octet_length(content) + 200 RETURNING last INTO number;
    INSERT INTO events (sequence, created_at, topic, key, verdict, body_bytes, stored_bytes, body)
    VALUES (number, event_at, event_topic, event_key, 'own', octet_length(content), octet_length(content) + 200, content);
END $$;

CREATE FUNCTION tell_of_cycle() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    source TEXT := coalesce((SELECT s.name FROM sources s WHERE s.id = NEW.source_id), '');
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM append_own_event('cycle.started', source, NEW.started_at,
            json_build_object('source', source, 'cycle', NEW.number, 'trigger', NEW.trigger));
    ELSE
        PERFORM append_own_event(
            'cycle.' || CASE NEW.state WHEN 'complete' THEN 'completed' ELSE NEW.state END, source,
            coalesce(NEW.ended_at, NEW.started_at),
            json_build_object('source', source, 'cycle', NEW.number, 'reason', NEW.reason, 'removed', NEW.removed,
                'totals', NEW.totals::JSON));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION tell_of_source() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_NAME = 'tell_sweep_held' THEN
        PERFORM append_own_event('sweep.held', NEW.name, NEW.held_at,
            json_build_object('source', NEW.name, 'cycle', NEW.held_cycle, 'reason', NEW.held_reason,
                'would_remove', NEW.held_removals, 'owned', NEW.held_owned));
    ELSE
        -- No moment comes with the act, so this is the database's.
        PERFORM append_own_event('source.blocked', NEW.name, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT,
            json_build_object('source', NEW.name, 'reason', NEW.blocked_reason));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION tell_of_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_own_event('job.parked', NEW.kind || ' ' || NEW.key, NEW.updated_at,
        json_build_object('job', NEW.id, 'kind', NEW.kind, 'key', NEW.key, 'attempt', NEW.attempt, 'error', NEW.last_error,
            'source', (SELECT s.name FROM sources s WHERE s.id = NEW.source_id)));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER tell_cycle_started AFTER INSERT ON cycles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell_of_cycle();

CREATE CONSTRAINT TRIGGER tell_cycle_ended AFTER UPDATE OF state ON cycles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND NEW.state IN ('complete', 'incomplete', 'cancelled'))
    EXECUTE FUNCTION tell_of_cycle();

CREATE CONSTRAINT TRIGGER tell_sweep_held AFTER UPDATE OF held_cycle ON sources
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.held_cycle IS NOT NULL AND NEW.held_cycle IS DISTINCT FROM OLD.held_cycle)
    EXECUTE FUNCTION tell_of_source();

CREATE CONSTRAINT TRIGGER tell_source_blocked AFTER UPDATE OF state ON sources
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'blocked' AND OLD.state <> 'blocked')
    EXECUTE FUNCTION tell_of_source();

CREATE CONSTRAINT TRIGGER tell_job_parked AFTER UPDATE OF state ON jobs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'parked' AND OLD.state <> 'parked')
    EXECUTE FUNCTION tell_of_job();
