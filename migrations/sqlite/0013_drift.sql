-- What complete cycles found changed although no event had told of it.

-- The last number of the change feed when the cycle began; null: an older release began it.
ALTER TABLE cycles ADD COLUMN first_sequence INTEGER;

CREATE TABLE drifts (
    source_id   INTEGER NOT NULL,
    cycle       INTEGER NOT NULL,
    found_at    INTEGER NOT NULL,
    missing     INTEGER NOT NULL,
    extra       INTEGER NOT NULL,
    diverged    INTEGER NOT NULL,
    -- The first hundred: [{"ref": …, "drift": …}, …]
    differences TEXT    NOT NULL,
    -- The event was written.
    told        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, cycle),
    FOREIGN KEY (source_id, cycle) REFERENCES cycles (source_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tell_drift_found AFTER UPDATE OF state ON cycles
WHEN OLD.state = 'sweeping' AND NEW.state IN ('complete', 'held')
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    SELECT 'drift.found', s.name, coalesce(NEW.ended_at, d.found_at),
        json_object(
            'source', s.name, 'cycle', d.cycle, 'missing', d.missing, 'extra', d.extra, 'diverged', d.diverged,
            'differences', json(d.differences))
    FROM drifts AS d JOIN sources AS s ON s.id = d.source_id
    WHERE d.source_id = NEW.source_id AND d.cycle = NEW.number AND d.told = 0 AND d.missing + d.extra + d.diverged > 0;
    UPDATE drifts SET told = 1 WHERE source_id = NEW.source_id AND cycle = NEW.number;
END;
