-- API tokens: the secret is only hashed. A name is unique among the tokens that are not revoked.
CREATE TABLE api_tokens (
    id            TEXT    PRIMARY KEY,
    hash          BLOB    NOT NULL CHECK (length(hash) = 32),
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('read', 'operate', 'push', 'admin')),
    -- JSON list of globs; empty: all sources.
    sources       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    expires_at    INTEGER,
    last_used_at  INTEGER,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name) WHERE revoked_at IS NULL;

-- Who did what, written in the transaction of the act.
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor_kind  TEXT    NOT NULL CHECK (actor_kind IN ('token', 'local', 'system')),
    actor       TEXT    NOT NULL,
    address     TEXT,
    request     TEXT,
    act         TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    source      TEXT,
    arguments   TEXT    NOT NULL,
    refused     TEXT
) STRICT;

CREATE INDEX audit_at ON audit (at);

-- What came of acts that were done under a key.
CREATE TABLE idempotency (
    actor        TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    fingerprint  BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    outcome      TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_at ON idempotency (at);
