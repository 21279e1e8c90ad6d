-- Figures over time, for charts: small tables with an end.

-- The store's figures, once a minute.
CREATE TABLE samples (
    minute          INTEGER PRIMARY KEY,
    due             INTEGER NOT NULL,
    -- How long the oldest due job has waited, in milliseconds.
    lag             INTEGER NOT NULL,
    running         INTEGER NOT NULL,
    parked          INTEGER NOT NULL,
    dead_letters    INTEGER NOT NULL,
    last_sequence   INTEGER NOT NULL,
    last_event      INTEGER NOT NULL,
    -- Of cycles that ended in the minute before: entities that they marked, and cycles that did not complete.
    entities        INTEGER NOT NULL,
    failed_cycles   INTEGER NOT NULL
) STRICT;

-- What came to a hook, by the hour.
CREATE TABLE hook_hours (
    hook            TEXT    NOT NULL,
    hour            INTEGER NOT NULL,
    stored          INTEGER NOT NULL,
    duplicates      INTEGER NOT NULL,
    unproven        INTEGER NOT NULL,
    refused         INTEGER NOT NULL,
    unavailable     INTEGER NOT NULL,
    last_stored_at  INTEGER,
    last_error_at   INTEGER,
    last_error      TEXT,
    PRIMARY KEY (hook, hour)
) STRICT, WITHOUT ROWID;
