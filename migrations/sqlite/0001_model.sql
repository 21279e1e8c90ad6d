-- The model of DESIGN.md. Times are milliseconds since 1970 in UTC. JSON is canonical text.

CREATE TABLE sources (
    id              INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL UNIQUE,
    source_type     TEXT    NOT NULL,
    identity        BLOB    NOT NULL CHECK (length(identity) = 32),
    parallel        INTEGER NOT NULL CHECK (parallel >= 1),
    state           TEXT    NOT NULL CHECK (state IN ('active', 'paused', 'blocked', 'orphaned')),
    blocked_reason  TEXT,
    cycle           INTEGER NOT NULL DEFAULT 0,
    next_cycle_at   INTEGER,
    requested       TEXT CHECK (requested IN ('schedule', 'webhook', 'manual', 'drift', 'start')),
    hold_until      INTEGER NOT NULL DEFAULT 0,
    held_cycle      INTEGER,
    held_reason     TEXT,
    held_removals   INTEGER,
    held_owned      INTEGER,
    held_at         INTEGER,
    approved        INTEGER,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE cycles (
    source_id   INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number >= 1),
    state       TEXT    NOT NULL CHECK (state IN ('bursting', 'sweeping', 'held', 'complete', 'incomplete', 'cancelled')),
    trigger     TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    reason      TEXT,
    totals      TEXT,
    removed     INTEGER NOT NULL DEFAULT 0,
    planned     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, number)
) STRICT, WITHOUT ROWID;

-- At most one cycle of a source runs.
CREATE UNIQUE INDEX cycles_running ON cycles (source_id) WHERE state IN ('bursting', 'sweeping');

CREATE TABLE workers (
    worker       TEXT    PRIMARY KEY,
    alive_until  INTEGER NOT NULL,
    started_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    args        TEXT    NOT NULL,
    cursor      TEXT,
    progress    TEXT,
    state       TEXT    NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'parked', 'paused', 'cancelled')),
    due_at      INTEGER,
    attempt     INTEGER NOT NULL DEFAULT 0,
    rung        INTEGER NOT NULL DEFAULT 0,
    rescues     INTEGER NOT NULL DEFAULT 0,
    token       INTEGER NOT NULL DEFAULT 0,
    worker      TEXT,
    again       INTEGER NOT NULL DEFAULT 0,
    hinted_at   INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT,
    trigger     TEXT    NOT NULL,
    trace       TEXT,
    source_id   INTEGER REFERENCES sources (id) ON DELETE CASCADE,
    cycle       INTEGER,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (kind, key),
    CHECK ((state = 'running') = (worker IS NOT NULL))
) STRICT;

CREATE INDEX jobs_due ON jobs (due_at, id) WHERE state = 'waiting';
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_cycle ON jobs (source_id, cycle, state) WHERE source_id IS NOT NULL;

-- The manifest: one row per page of a partition, with the hashes of the keys it marks.
CREATE TABLE pages (
    partition_id    INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    page            INTEGER NOT NULL,
    source_id       INTEGER NOT NULL,
    cycle           INTEGER NOT NULL,
    fingerprint     BLOB    NOT NULL,
    entities        INTEGER NOT NULL,
    unidentified    INTEGER NOT NULL,
    next            TEXT,
    children        TEXT,
    request         BLOB,
    etag            TEXT,
    last_modified   TEXT,
    content         BLOB,
    key_hashes      BLOB    NOT NULL,
    PRIMARY KEY (partition_id, page)
) STRICT, WITHOUT ROWID;

CREATE INDEX pages_source ON pages (source_id, cycle);

-- Entities that some page dropped: gone for good only if no page of a complete cycle has them.
CREATE TABLE misses (
    source_id   INTEGER NOT NULL,
    key_hash    INTEGER NOT NULL,
    missed      INTEGER NOT NULL DEFAULT 0,
    last_cycle  INTEGER NOT NULL DEFAULT 0,
    kept        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, key_hash)
) STRICT, WITHOUT ROWID;

-- The catalog and, ordered by sequence, the change feed. A removed entity is a tombstone without a body.
CREATE TABLE entities (
    source_id   INTEGER NOT NULL,
    ref         TEXT    NOT NULL,
    key_hash    INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL,
    sequence    INTEGER NOT NULL,
    change      TEXT    NOT NULL CHECK (change IN ('added', 'modified', 'removed')),
    changed_at  INTEGER NOT NULL,
    body        TEXT,
    PRIMARY KEY (source_id, ref),
    CHECK ((change = 'removed') = (body IS NULL))
) STRICT;

CREATE UNIQUE INDEX entities_sequence ON entities (sequence);

CREATE TABLE counters (
    name    TEXT    PRIMARY KEY,
    value   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('sequence', 0);

CREATE TABLE malformed (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id   INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    cycle       INTEGER NOT NULL,
    partition   TEXT    NOT NULL,
    page        INTEGER NOT NULL,
    ref         TEXT,
    error       TEXT    NOT NULL,
    sample      TEXT    NOT NULL,
    seen_at     INTEGER NOT NULL
) STRICT;

CREATE INDEX malformed_source ON malformed (source_id, id);
