-- Figures over time, for charts: small tables with an end.

-- The store's figures, once a minute.
CREATE TABLE samples (
    minute          BIGINT  PRIMARY KEY,
    due             BIGINT  NOT NULL,
    -- How long the oldest due job has waited, in milliseconds.
    lag             BIGINT  NOT NULL,
    running         BIGINT  NOT NULL,
    parked          BIGINT  NOT NULL,
    dead_letters    BIGINT  NOT NULL,
    last_sequence   BIGINT  NOT NULL,
    last_event      BIGINT  NOT NULL,
    -- Of cycles that ended in the minute before: entities that they marked, and cycles that did not complete.
    entities        BIGINT  NOT NULL,
    failed_cycles   BIGINT  NOT NULL
);

-- What came to a hook, by the hour.
CREATE TABLE hook_hours (
    hook            TEXT    COLLATE "C" NOT NULL,
    hour            BIGINT  NOT NULL,
    stored          BIGINT  NOT NULL,
    duplicates      BIGINT  NOT NULL,
    unproven        BIGINT  NOT NULL,
    refused         BIGINT  NOT NULL,
    unavailable     BIGINT  NOT NULL,
    last_stored_at  BIGINT,
    last_error_at   BIGINT,
    last_error      TEXT,
    PRIMARY KEY (hook, hour)
);
