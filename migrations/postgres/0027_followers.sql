-- How far subscriptions and targets had come, every five minutes, for charts.

CREATE TABLE follower_samples (
    kind            TEXT    NOT NULL CHECK (kind IN ('subscription', 'target')),
    name            TEXT    COLLATE "C" NOT NULL,
    minute          BIGINT  NOT NULL,
    position        BIGINT  NOT NULL,
    behind          BIGINT  NOT NULL,
    PRIMARY KEY (kind, name, minute)
);
