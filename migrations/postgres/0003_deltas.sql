-- Deltas: entities written outside a cycle's pages.

-- What a delta wrote, by the hash of its key, until a complete cycle that began later has compared it with its pages. Pushed
-- entities with a version keep their row, so that the version cannot go back.
CREATE TABLE deltas (
    source_id   BIGINT NOT NULL,
    key_hash    BIGINT NOT NULL,
    -- When the reading began.
    read_at     BIGINT NOT NULL,
    version     BIGINT,
    PRIMARY KEY (source_id, key_hash)
);

-- When the newest reading of the page began.
ALTER TABLE pages ADD COLUMN read_at BIGINT NOT NULL DEFAULT 0;

-- A delta whose reading began before `deltas_from` comes too late: what was known of deltas then was compared and is gone.
-- `deltas`: there may be some, so page commits look for them; without, they need not.
ALTER TABLE sources
    ADD COLUMN deltas_from BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN deltas BOOLEAN NOT NULL DEFAULT false;
