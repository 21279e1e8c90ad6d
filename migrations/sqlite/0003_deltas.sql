-- Deltas: entities written outside a cycle's pages.

-- What a delta wrote, by the hash of its key, until a complete cycle that began later has compared it with its pages. Pushed
-- entities with a version keep their row, so that the version cannot go back.
CREATE TABLE deltas (
    source_id   INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    key_hash    INTEGER NOT NULL,
    -- When the reading began.
    read_at     INTEGER NOT NULL,
    version     INTEGER,
    PRIMARY KEY (source_id, key_hash)
) STRICT, WITHOUT ROWID;

-- When the newest reading of the page began.
ALTER TABLE pages ADD COLUMN read_at INTEGER NOT NULL DEFAULT 0;

-- A delta whose reading began before this comes too late: what was known of deltas then was compared and is gone.
ALTER TABLE sources ADD COLUMN deltas_from INTEGER NOT NULL DEFAULT 0;
