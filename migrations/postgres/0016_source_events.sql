-- Tells when the configuration of a source changed: what identifies its data, or that it is there no more.
CREATE FUNCTION tell_of_configuration() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    -- No moment comes with the act, so this is the database's.
    PERFORM append_own_event(
        CASE WHEN NEW.state = 'orphaned' THEN 'source.orphaned' ELSE 'source.restarted' END, NEW.name,
        (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT,
        json_build_object('source', NEW.name, 'type', NEW.source_type));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER tell_source_configured AFTER UPDATE OF state, identity ON sources
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.identity IS DISTINCT FROM OLD.identity OR (NEW.state = 'orphaned' AND OLD.state <> 'orphaned'))
    EXECUTE FUNCTION tell_of_configuration();
