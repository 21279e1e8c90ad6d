-- Systems that are kept in step with the catalog, and what Tideline owns there.
CREATE TABLE targets (
    name            TEXT    COLLATE "C" PRIMARY KEY,
    hold_until      BIGINT,
    created_at      BIGINT  NOT NULL,
    holds           INTEGER NOT NULL DEFAULT 0 CHECK (holds >= 0),
    configured      BOOLEAN NOT NULL DEFAULT TRUE,
    target_type     TEXT    NOT NULL,
    state           TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    -- JSON text; moved only from exactly what it was.
    place           TEXT    NOT NULL,
    hold_reason     TEXT
) WITH (fillfactor = 10);

-- Entities that a target has something to do with.
CREATE TABLE target_entities (
    target          TEXT    COLLATE "C" NOT NULL,
    reference       TEXT    COLLATE "C" NOT NULL,
    synced_at       BIGINT,
    -- Hex; null: the entity is gone.
    fingerprint     TEXT,
    error           TEXT,
    PRIMARY KEY (target, reference)
);

CREATE INDEX target_entities_failing ON target_entities (target, reference) WHERE error IS NOT NULL;

-- What a target owns, written before it is made there. Only what is recorded here is ever changed or deleted.
CREATE TABLE target_objects (
    target          TEXT    COLLATE "C" NOT NULL,
    object          TEXT    COLLATE "C" NOT NULL,
    reference       TEXT    COLLATE "C" NOT NULL,
    updated_at      BIGINT  NOT NULL,
    part            TEXT    NOT NULL,
    remote_id       TEXT,
    fingerprint     TEXT,
    detail          TEXT    NOT NULL DEFAULT '{}',
    error           TEXT,
    PRIMARY KEY (target, object)
);

CREATE INDEX target_objects_entity ON target_objects (target, reference, object);
