-- Of what people were told last: a thing that goes on is told of once. Older ones than an hour are forgotten.
CREATE TABLE notices (
    subscription    TEXT    COLLATE "C" NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    topic           TEXT    COLLATE "C" NOT NULL,
    key             TEXT    COLLATE "C" NOT NULL,
    -- The newest event about it, and when that happened.
    sequence        BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL,
    PRIMARY KEY (subscription, topic, key)
);
