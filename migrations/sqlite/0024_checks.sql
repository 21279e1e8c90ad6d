-- Checks: a source is read only to compare it with the catalog.

CREATE TABLE checks (
    source_id    INTEGER PRIMARY KEY REFERENCES sources (id) ON DELETE CASCADE,
    -- When the next one is due.
    next_at      INTEGER NOT NULL,
    -- Rises with every check that is begun, and fences what is written of it.
    token        INTEGER NOT NULL DEFAULT 0,
    -- Until then it belongs to the scheduler that began it; null: nobody is making one.
    leased_until INTEGER
) STRICT;

CREATE TABLE check_results (
    source_id   INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    began_at    INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    missing     INTEGER NOT NULL,
    extra       INTEGER NOT NULL,
    diverged    INTEGER NOT NULL,
    -- The first hundred: [{"ref": …, "drift": …}, …]
    differences TEXT    NOT NULL,
    -- Why it tells nothing, or not everything; null: the whole source was read.
    failure     TEXT,
    PRIMARY KEY (source_id, began_at)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tell_check_found AFTER INSERT ON check_results
WHEN NEW.missing + NEW.extra + NEW.diverged > 0
BEGIN
    INSERT INTO own_events (topic, key, created_at, body)
    SELECT 'drift.found', s.name, NEW.ended_at,
        json_object(
            'source', s.name, 'check', json('true'), 'missing', NEW.missing, 'extra', NEW.extra, 'diverged', NEW.diverged,
            'differences', json(NEW.differences))
    FROM sources AS s WHERE s.id = NEW.source_id;
END;
