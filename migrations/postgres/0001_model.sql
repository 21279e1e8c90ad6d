-- The model of DESIGN.md. Times are milliseconds since 1970 in UTC. JSON is canonical text.

-- Always true. Its cost makes each plan that would ask it for more rows than it must too dear, so that a hot statement
-- keeps to its index on an empty, a small and a freshly loaded table, in a cached plan too, and needs no session setting.
-- It wants tables that are never quite empty: see the end.
CREATE FUNCTION by_index(BIGINT) RETURNS BOOLEAN
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 2000
    AS 'BEGIN RETURN true; END';

CREATE TABLE sources (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            TEXT    COLLATE "C" NOT NULL UNIQUE,
    source_type     TEXT    NOT NULL,
    identity        BYTEA   NOT NULL CHECK (octet_length(identity) = 32),
    parallel        INTEGER NOT NULL CHECK (parallel >= 1),
    state           TEXT    NOT NULL CHECK (state IN ('active', 'paused', 'blocked', 'orphaned')),
    blocked_reason  TEXT,
    cycle           BIGINT  NOT NULL DEFAULT 0,
    next_cycle_at   BIGINT,
    requested       TEXT    CHECK (requested IN ('schedule', 'webhook', 'manual', 'drift', 'start')),
    hold_until      BIGINT  NOT NULL DEFAULT 0,
    held_cycle      BIGINT,
    held_reason     TEXT,
    held_removals   BIGINT,
    held_owned      BIGINT,
    held_at         BIGINT,
    approved        BIGINT,
    created_at      BIGINT  NOT NULL,
    -- Its last entity was deleted; the row stays for the name that its tombstones show.
    forgotten       BOOLEAN NOT NULL DEFAULT false
) WITH (fillfactor = 50);

CREATE TABLE cycles (
    source_id   BIGINT  NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    number      BIGINT  NOT NULL CHECK (number >= 1),
    state       TEXT    NOT NULL CHECK (state IN ('bursting', 'sweeping', 'held', 'complete', 'incomplete', 'cancelled')),
    trigger     TEXT    NOT NULL,
    started_at  BIGINT  NOT NULL,
    ended_at    BIGINT,
    reason      TEXT,
    totals      TEXT,
    removed     BIGINT  NOT NULL DEFAULT 0,
    planned     BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (source_id, number)
);

-- At most one cycle of a source runs.
CREATE UNIQUE INDEX cycles_running ON cycles (source_id) WHERE state IN ('bursting', 'sweeping');

CREATE TABLE workers (
    worker       TEXT   COLLATE "C" PRIMARY KEY,
    alive_until  BIGINT NOT NULL,
    started_at   BIGINT NOT NULL
) WITH (fillfactor = 50);

-- A claim, a page commit and a checkpoint change no column that an index names, so they write the heap only (HOT); keep it
-- so. For that, `due_at` stays while a job runs, `state` is in no index, and what never changes comes first in the row.
-- A partition that waits for a place has the greatest `due_at` there is.
CREATE TABLE jobs (
    id          BIGINT   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   BIGINT   REFERENCES sources (id) ON DELETE CASCADE,
    created_at  BIGINT   NOT NULL,
    fingerprint BYTEA    NOT NULL CHECK (octet_length(fingerprint) = 32),
    kind        TEXT     COLLATE "C" NOT NULL,
    key         TEXT     COLLATE "C" NOT NULL,
    args        TEXT     NOT NULL,
    trigger     TEXT     NOT NULL,
    trace       TEXT,
    cycle       BIGINT,
    parked_at   BIGINT,
    due_at      BIGINT,
    hinted_at   BIGINT   NOT NULL DEFAULT 0,
    updated_at  BIGINT   NOT NULL,
    token       BIGINT   NOT NULL DEFAULT 0,
    attempt     INTEGER  NOT NULL DEFAULT 0,
    rung        INTEGER  NOT NULL DEFAULT 0,
    rescues     INTEGER  NOT NULL DEFAULT 0,
    again       BOOLEAN  NOT NULL DEFAULT false,
    state       TEXT     NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'parked', 'paused', 'cancelled')),
    worker      TEXT     COLLATE "C",
    cursor      TEXT,
    progress    TEXT,
    last_error  TEXT,
    UNIQUE (kind, key),
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state IN ('waiting', 'running', 'paused')) = (due_at IS NOT NULL)),
    CHECK ((state = 'parked') = (parked_at IS NOT NULL))
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX jobs_due ON jobs (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_cycle ON jobs (source_id, cycle, due_at, id) WHERE source_id IS NOT NULL;
CREATE INDEX jobs_parked ON jobs (parked_at) WHERE parked_at IS NOT NULL;

-- The manifest: one row per page of a partition, with the hashes of the keys it marks. Marking an unchanged page changes
-- `cycle` alone, which no index names; the hashes lie beside the row (TOAST) and are not written again.
CREATE TABLE pages (
    partition_id    BIGINT  NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    source_id       BIGINT  NOT NULL,
    page            INTEGER NOT NULL,
    cycle           BIGINT  NOT NULL,
    entities        INTEGER NOT NULL,
    unidentified    INTEGER NOT NULL,
    fingerprint     BYTEA   NOT NULL,
    next            TEXT,
    children        TEXT,
    request         BYTEA,
    etag            TEXT,
    last_modified   TEXT,
    content         BYTEA,
    key_hashes      BIGINT[] NOT NULL,
    PRIMARY KEY (partition_id, page)
) WITH (fillfactor = 50);

ALTER TABLE pages ALTER COLUMN key_hashes SET STORAGE EXTERNAL;

CREATE INDEX pages_source ON pages (source_id);

-- Entities that some page dropped: gone for good only if no page of a complete cycle has them. `ref` is found when a sweep
-- is planned.
CREATE TABLE misses (
    source_id   BIGINT  NOT NULL,
    key_hash    BIGINT  NOT NULL,
    missed      INTEGER NOT NULL DEFAULT 0,
    last_cycle  BIGINT  NOT NULL DEFAULT 0,
    kept        BOOLEAN NOT NULL DEFAULT false,
    ref         TEXT    COLLATE "C",
    PRIMARY KEY (source_id, key_hash)
);

-- The catalog and, ordered by sequence, the change feed. A removed entity is a tombstone without a body. Whoever writes
-- here holds the row `sequence` of counters. The index holds the hash too, so that a sweep need not read the bodies.
CREATE TABLE entities (
    source_id   BIGINT NOT NULL,
    key_hash    BIGINT NOT NULL,
    sequence    BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    ref         TEXT   COLLATE "C" NOT NULL,
    fingerprint BYTEA  NOT NULL,
    change      TEXT   NOT NULL CHECK (change IN ('added', 'modified', 'removed')),
    body        TEXT,
    PRIMARY KEY (source_id, ref) INCLUDE (key_hash),
    CHECK ((change = 'removed') = (body IS NULL))
);

CREATE UNIQUE INDEX entities_sequence ON entities (sequence);
CREATE INDEX entities_tombstones ON entities (changed_at) WHERE change = 'removed';

-- `sequence`: the last number given to a change. `entities/<source>`: how many live entities the source owns.
CREATE TABLE counters (
    name    TEXT   COLLATE "C" PRIMARY KEY,
    value   BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO counters (name, value) VALUES ('sequence', 0);

CREATE TABLE malformed (
    id          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   BIGINT  NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    cycle       BIGINT  NOT NULL,
    partition   TEXT    NOT NULL,
    page        INTEGER NOT NULL,
    ref         TEXT,
    error       TEXT    NOT NULL,
    sample      TEXT    NOT NULL,
    seen_at     BIGINT  NOT NULL
);

CREATE INDEX malformed_source ON malformed (source_id, id);

-- A hundred rows each that belong to nobody and match nothing: a table that the planner takes to have next to no rows would
-- be read as a whole, and a cached plan would go on doing so when it has grown.
INSERT INTO jobs (kind, key, fingerprint, args, state, due_at, trigger, created_at, updated_at)
SELECT '', 'nobody/' || n, sha256(''), '{}', 'paused', 9223372036854775807, 'start', 0, 0 FROM generate_series(1, 100) AS n;

INSERT INTO pages (partition_id, source_id, page, cycle, entities, unidentified, fingerprint, key_hashes)
SELECT id, 0, 0, 0, 0, 0, sha256(''), '{}' FROM jobs;

INSERT INTO entities (source_id, key_hash, sequence, changed_at, ref, fingerprint, change, body)
SELECT 0, 0, -n, 0, 'nobody/' || n, sha256(''), 'added', '{}' FROM generate_series(1, 100) AS n;
