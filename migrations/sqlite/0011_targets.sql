-- Systems that are kept in step with the catalog, and what Tideline owns there.
CREATE TABLE targets (
    name            TEXT    PRIMARY KEY,
    target_type     TEXT    NOT NULL,
    state           TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    configured      INTEGER NOT NULL DEFAULT 1,
    -- JSON text; moved only from exactly what it was.
    place           TEXT    NOT NULL,
    holds           INTEGER NOT NULL DEFAULT 0 CHECK (holds >= 0),
    hold_until      INTEGER,
    hold_reason     TEXT,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Entities that a target has something to do with.
CREATE TABLE target_entities (
    target          TEXT    NOT NULL,
    reference       TEXT    NOT NULL,
    -- Hex; null: the entity is gone.
    fingerprint     TEXT,
    error           TEXT,
    synced_at       INTEGER,
    PRIMARY KEY (target, reference)
) STRICT, WITHOUT ROWID;

CREATE INDEX target_entities_failing ON target_entities (target, reference) WHERE error IS NOT NULL;

-- What a target owns, written before it is made there. Only what is recorded here is ever changed or deleted.
CREATE TABLE target_objects (
    target          TEXT    NOT NULL,
    object          TEXT    NOT NULL,
    reference       TEXT    NOT NULL,
    part            TEXT    NOT NULL,
    remote_id       TEXT,
    fingerprint     TEXT,
    detail          TEXT    NOT NULL DEFAULT '{}',
    error           TEXT,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (target, object)
) STRICT, WITHOUT ROWID;

CREATE INDEX target_objects_entity ON target_objects (target, reference, object);
