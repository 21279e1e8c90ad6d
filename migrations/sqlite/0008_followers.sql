-- Where those who follow the log of events from inside stand: everything up to there was applied.
CREATE TABLE followers (
    name        TEXT    PRIMARY KEY,
    position    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
