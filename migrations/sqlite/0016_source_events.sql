-- Tells when the configuration of a source changed: what identifies its data, or that it is there no more. No moment comes with
-- the act, so this is the database's.
CREATE TRIGGER tell_source_configured AFTER UPDATE OF state, identity ON sources
WHEN NEW.identity IS NOT OLD.identity OR (NEW.state = 'orphaned' AND OLD.state <> 'orphaned')
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    VALUES (
        CASE WHEN NEW.state = 'orphaned' THEN 'source.orphaned' ELSE 'source.restarted' END, NEW.name,
        CAST(unixepoch('subsec') * 1000 AS INTEGER),
        json_object('source', NEW.name, 'type', NEW.source_type));
END;
