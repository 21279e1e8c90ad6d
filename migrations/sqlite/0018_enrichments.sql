-- What targets add to entities for those who read the catalog and its feed. It counts as long as the entity is still at this
-- sequence: whatever its source writes later replaces it.
CREATE TABLE enrichments (
    ref             TEXT    NOT NULL,
    source_id       INTEGER NOT NULL,
    sequence        INTEGER NOT NULL,
    -- Of what the source wrote.
    source_sequence INTEGER NOT NULL,
    -- The body as the source gave it; null: nothing is added any more.
    original        TEXT,
    -- JSON text, by target.
    additions       TEXT    NOT NULL,
    PRIMARY KEY (ref, source_id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX enrichments_sequence ON enrichments (sequence);
