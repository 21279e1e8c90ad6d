-- Sources that fail again and again although each failure repairs itself. Failures within an hour are one.
CREATE TABLE source_failures (
    source_id   BIGINT  NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    failed_at   BIGINT  NOT NULL,
    PRIMARY KEY (source_id, failed_at)
);

-- When people were told last; at most once a day.
ALTER TABLE sources ADD COLUMN failing_told_at BIGINT NOT NULL DEFAULT 0;

CREATE FUNCTION note_source_failure() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    source sources%ROWTYPE;
    failures BIGINT;
BEGIN
    -- Whoever has the source locked notes a failure of it in this very moment, which is the same one; or the next failure is noted.
    SELECT * INTO source FROM sources s WHERE s.id = NEW.source_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND OR EXISTS (
        SELECT 1 FROM source_failures f WHERE f.source_id = source.id AND f.failed_at > NEW.updated_at - 3600000) THEN
        RETURN NULL;
    END IF;
    DELETE FROM source_failures f WHERE f.source_id = source.id AND f.failed_at <= NEW.updated_at - 86400000;
    INSERT INTO source_failures (source_id, failed_at) VALUES (source.id, NEW.updated_at);
    SELECT count(*) INTO failures FROM source_failures f WHERE f.source_id = source.id;
    IF failures >= 3 AND source.failing_told_at <= NEW.updated_at - 86400000 THEN
        UPDATE sources SET failing_told_at = NEW.updated_at WHERE id = source.id;
        PERFORM append_own_event('source.failing', source.name, NEW.updated_at,
            json_build_object('source', source.name, 'error', NEW.last_error, 'failures', failures));
    END IF;
    RETURN NULL;
END $$;

-- A partition that climbs its ladder has failed.
CREATE CONSTRAINT TRIGGER note_source_failure AFTER UPDATE OF rung ON jobs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.rung > OLD.rung AND NEW.source_id IS NOT NULL)
    EXECUTE FUNCTION note_source_failure();
