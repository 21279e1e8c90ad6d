-- Sources that fail again and again although each failure repairs itself. Failures within an hour are one.
CREATE TABLE source_failures (
    source_id   INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    failed_at   INTEGER NOT NULL,
    PRIMARY KEY (source_id, failed_at)
) STRICT, WITHOUT ROWID;

-- When people were told last; at most once a day.
ALTER TABLE sources ADD COLUMN failing_told_at INTEGER NOT NULL DEFAULT 0;

-- A partition that climbs its ladder has failed.
CREATE TRIGGER note_source_failure AFTER UPDATE OF rung ON jobs
WHEN NEW.rung > OLD.rung AND NEW.source_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM source_failures AS f WHERE f.source_id = NEW.source_id AND f.failed_at > NEW.updated_at - 3600000)
BEGIN
    DELETE FROM source_failures WHERE source_id = NEW.source_id AND failed_at <= NEW.updated_at - 86400000;
    INSERT INTO source_failures (source_id, failed_at) VALUES (NEW.source_id, NEW.updated_at);
    INSERT INTO own_events (topic, key, created_at, body)
    SELECT 'source.failing', s.name, NEW.updated_at,
        json_object(
            'source', s.name, 'error', NEW.last_error,
            'failures', (SELECT count(*) FROM source_failures AS f WHERE f.source_id = s.id))
    FROM sources AS s
    WHERE s.id = NEW.source_id AND s.failing_told_at <= NEW.updated_at - 86400000
        AND (SELECT count(*) FROM source_failures AS f WHERE f.source_id = s.id) >= 3;
    UPDATE sources SET failing_told_at = NEW.updated_at
    WHERE id = NEW.source_id AND failing_told_at <= NEW.updated_at - 86400000
        AND (SELECT count(*) FROM source_failures AS f WHERE f.source_id = sources.id) >= 3;
END;
