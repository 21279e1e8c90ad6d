-- What complete cycles found changed although no event had told of it.

-- The last number of the change feed when the cycle began; null: an older release began it.
ALTER TABLE cycles ADD COLUMN first_sequence BIGINT;

CREATE TABLE drifts (
    source_id   BIGINT  NOT NULL,
    cycle       BIGINT  NOT NULL,
    found_at    BIGINT  NOT NULL,
    missing     BIGINT  NOT NULL,
    extra       BIGINT  NOT NULL,
    diverged    BIGINT  NOT NULL,
    -- The event was written.
    told        BOOLEAN NOT NULL DEFAULT false,
    -- The first hundred: [{"ref": …, "drift": …}, …]
    differences TEXT    NOT NULL,
    PRIMARY KEY (source_id, cycle),
    FOREIGN KEY (source_id, cycle) REFERENCES cycles (source_id, number) ON DELETE CASCADE
);

CREATE FUNCTION tell_of_drift() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    source TEXT := coalesce((SELECT s.name FROM sources s WHERE s.id = NEW.source_id), '');
    drift  drifts%ROWTYPE;
BEGIN
    UPDATE drifts d SET told = true
    WHERE d.source_id = NEW.source_id AND d.cycle = NEW.number AND NOT d.told AND d.missing + d.extra + d.diverged > 0
    RETURNING d.* INTO drift;
    IF FOUND THEN
        PERFORM append_own_event('drift.found', source, coalesce(NEW.ended_at, drift.found_at),
            json_build_object('source', source, 'cycle', drift.cycle, 'missing', drift.missing, 'extra', drift.extra,
                'diverged', drift.diverged, 'differences', drift.differences::JSON));
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER tell_drift_found AFTER UPDATE OF state ON cycles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.state = 'sweeping' AND NEW.state IN ('complete', 'held'))
    EXECUTE FUNCTION tell_of_drift();
