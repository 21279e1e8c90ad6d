-- What targets add to entities for those who read the catalog and its feed. It counts as long as the entity is still at this
-- sequence: whatever its source writes later replaces it.
CREATE TABLE enrichments (
    ref             TEXT   COLLATE "C" NOT NULL,
    source_id       BIGINT NOT NULL,
    sequence        BIGINT NOT NULL,
    -- Of what the source wrote.
    source_sequence BIGINT NOT NULL,
    -- The body as the source gave it; null: nothing is added any more.
    original        TEXT,
    -- JSON text, by target.
    additions       TEXT   NOT NULL,
    PRIMARY KEY (ref, source_id)
);

CREATE UNIQUE INDEX enrichments_sequence ON enrichments (sequence);
