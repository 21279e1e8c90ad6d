-- People who are signed in to the dashboard. Neither the session's id nor the token it was opened with is in here, only their
-- SHA-256: whoever reads the store can use neither.
CREATE TABLE sessions (
    hash        BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    token_id    TEXT,
    token_hash  BLOB    NOT NULL CHECK (length(token_hash) = 32),
    opened_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
