-- The model of DESIGN.md. Times are milliseconds since 1970 in UTC. JSON is canonical text.
--
-- Rules that both stores keep and no constraint can say:
-- * Forgetting manifests (reset) puts every live entity's hash into misses (missed 0), or what the source dropped in the
--   meantime would never be noticed. Deleting a source's entities in steps deletes its manifests with each step, or a
--   touched page would not bring them back.
-- * The change feed names the source of a tombstone even when the source is forgotten (former_sources).
-- * A page commit whose pages are committed already (stored next_page = the batch's next_page + its pages: an answer was
--   lost) changes nothing and answers as the first time.
-- * A cycle that ends in any way clears held_* and approved if it is the held cycle.

CREATE TABLE sources (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    source_type     TEXT    NOT NULL,
    identity        BLOB    NOT NULL CHECK (length(identity) = 32),
    parallel        INTEGER NOT NULL CHECK (parallel >= 1),
    -- A paused source with a blocked_reason is blocked again when it is resumed.
    state           TEXT    NOT NULL CHECK (state IN ('active', 'paused', 'blocked', 'orphaned')),
    blocked_reason  TEXT,
    cycle           INTEGER NOT NULL DEFAULT 0,
    next_cycle_at   INTEGER,
    requested       TEXT CHECK (requested IN ('schedule', 'webhook', 'manual', 'drift', 'start')),
    hold_until      INTEGER NOT NULL DEFAULT 0,
    -- Live entities it owns; kept up by whatever writes entities, so that nobody has to count them.
    entities        INTEGER NOT NULL DEFAULT 0 CHECK (entities >= 0),
    held_cycle      INTEGER,
    held_reason     TEXT,
    held_removals   INTEGER,
    held_owned      INTEGER,
    held_at         INTEGER,
    approved        INTEGER,
    created_at      INTEGER NOT NULL
) STRICT;

-- Names of forgotten sources, for as long as the change feed has tombstones of theirs.
CREATE TABLE former_sources (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL
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
    -- When the last hint of this waiting spell was sent; 0: none yet.
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
-- A backlog that was hinted already is not walked through again by take_due.
CREATE INDEX jobs_unhinted ON jobs (due_at, id) WHERE state = 'waiting' AND hinted_at = 0;
CREATE INDEX jobs_hinted ON jobs (hinted_at) WHERE state = 'waiting' AND hinted_at > 0;
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_parked ON jobs (id) WHERE state = 'parked';
-- Places: open partitions have state running, or waiting with a due_at; the oldest placeless one is the next.
CREATE INDEX jobs_cycle ON jobs (source_id, cycle, state, due_at) WHERE source_id IS NOT NULL;

-- The manifest: what is remembered of a page of a partition. Touching a page writes this narrow row only.
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
    PRIMARY KEY (partition_id, page)
) STRICT, WITHOUT ROWID;

CREATE INDEX pages_source ON pages (source_id, cycle);

-- The other half of the manifest: the hashes of the keys that the page marks, 8 bytes big-endian each.
CREATE TABLE page_keys (
    partition_id    INTEGER NOT NULL,
    page            INTEGER NOT NULL,
    key_hashes      BLOB    NOT NULL CHECK (length(key_hashes) % 8 = 0),
    PRIMARY KEY (partition_id, page),
    FOREIGN KEY (partition_id, page) REFERENCES pages (partition_id, page) ON DELETE CASCADE
) STRICT;

-- Entities that some page dropped: gone for good only if no page of a complete cycle has them. The sweep's plan fills in
-- the reference of the live entity with this hash.
CREATE TABLE misses (
    source_id   INTEGER NOT NULL,
    key_hash    INTEGER NOT NULL,
    missed      INTEGER NOT NULL DEFAULT 0,
    last_cycle  INTEGER NOT NULL DEFAULT 0,
    kept        INTEGER NOT NULL DEFAULT 0,
    ref         TEXT,
    PRIMARY KEY (source_id, key_hash)
) STRICT, WITHOUT ROWID;

-- The catalog without the bodies, so that look-ups of fingerprints and hashes stay narrow. A removed entity stays as a
-- tombstone until it is pruned.
CREATE TABLE entities (
    source_id   INTEGER NOT NULL,
    ref         TEXT    NOT NULL,
    key_hash    INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL,
    sequence    INTEGER NOT NULL,
    -- Not IN (…): for a list of more than two SQLite fills a temporary table with each statement, which costs more than the row.
    change      TEXT    NOT NULL CHECK (change = 'added' OR change = 'modified' OR change = 'removed'),
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (source_id, ref)
) STRICT, WITHOUT ROWID;

CREATE INDEX entities_tombstones ON entities (changed_at) WHERE change = 'removed';

-- The change feed, in commit order: the newest state of each entity, one row each. No body: a tombstone.
CREATE TABLE changes (
    sequence    INTEGER PRIMARY KEY,
    source_id   INTEGER NOT NULL,
    ref         TEXT    NOT NULL,
    body        TEXT
) STRICT;

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
