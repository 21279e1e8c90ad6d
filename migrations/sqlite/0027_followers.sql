-- How far subscriptions and targets had come, every five minutes, for charts.

CREATE TABLE follower_samples (
    kind            TEXT    NOT NULL CHECK (kind IN ('subscription', 'target')),
    name            TEXT    NOT NULL,
    minute          INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    behind          INTEGER NOT NULL,
    PRIMARY KEY (kind, name, minute)
) STRICT, WITHOUT ROWID;
