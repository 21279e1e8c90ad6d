-- Where those who follow the log of events from inside stand: everything up to there was applied.
CREATE TABLE followers (
    name        TEXT   COLLATE "C" PRIMARY KEY,
    position    BIGINT NOT NULL
) WITH (fillfactor = 10);
