-- Of what people were told last: a thing that goes on is told of once. Older ones than an hour are forgotten.
CREATE TABLE notices (
    subscription    TEXT    NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    topic           TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    -- The newest event about it, and when that happened.
    sequence        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (subscription, topic, key)
) STRICT, WITHOUT ROWID;
