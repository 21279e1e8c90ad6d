-- Checks: a source is read only to compare it with the catalog.

CREATE TABLE checks (
    source_id    BIGINT  PRIMARY KEY REFERENCES sources (id) ON DELETE CASCADE,
    -- When the next one is due.
    next_at      BIGINT  NOT NULL,
    -- Rises with every check that is begun, and fences what is written of it.
    token        BIGINT  NOT NULL DEFAULT 0,
    -- Until then it belongs to the scheduler that began it; null: nobody is making one.
    leased_until BIGINT
);

CREATE TABLE check_results (
    source_id   BIGINT  NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    began_at    BIGINT  NOT NULL,
    ended_at    BIGINT  NOT NULL,
    missing     BIGINT  NOT NULL,
    extra       BIGINT  NOT NULL,
    diverged    BIGINT  NOT NULL,
    -- The first hundred: [{"ref": …, "drift": …}, …]
    differences TEXT    NOT NULL,
    -- Why it tells nothing, or not everything; null: the whole source was read.
    failure     TEXT,
    PRIMARY KEY (source_id, began_at)
);

CREATE FUNCTION tell_of_check() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    source TEXT := coalesce((SELECT s.name FROM sources s WHERE s.id = NEW.source_id), '');
BEGIN
    PERFORM append_own_event('drift.found', source, NEW.ended_at,
        json_build_object('source', source, 'check', true, 'missing', NEW.missing, 'extra', NEW.extra,
            'diverged', NEW.diverged, 'differences', NEW.differences::JSON));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER tell_check_found AFTER INSERT ON check_results
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.missing + NEW.extra + NEW.diverged > 0)
    EXECUTE FUNCTION tell_of_check();
