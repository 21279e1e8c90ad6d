-- People who are signed in to the dashboard. Neither the session's id nor the token it was opened with is in here, only their
-- SHA-256: whoever reads the store can use neither.
CREATE TABLE sessions (
    hash        BYTEA   PRIMARY KEY CHECK (length(hash) = 32),
    token_id    TEXT    COLLATE "C",
    token_hash  BYTEA   NOT NULL CHECK (length(token_hash) = 32),
    opened_at   BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
