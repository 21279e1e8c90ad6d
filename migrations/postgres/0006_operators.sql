-- API tokens: the secret is only hashed. A name is unique among the tokens that are not revoked.
CREATE TABLE api_tokens (
    id            TEXT    COLLATE "C" PRIMARY KEY,
    hash          BYTEA   NOT NULL CHECK (length(hash) = 32),
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('read', 'operate', 'push', 'admin')),
    -- JSON list of globs; empty: all sources.
    sources       TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    created_by    TEXT    NOT NULL,
    expires_at    BIGINT,
    last_used_at  BIGINT,
    revoked_at    BIGINT
);

CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name) WHERE revoked_at IS NULL;

-- Who did what, written in the transaction of the act.
CREATE TABLE audit (
    id          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          BIGINT  NOT NULL,
    actor_kind  TEXT    NOT NULL CHECK (actor_kind IN ('token', 'local', 'system')),
    actor       TEXT    NOT NULL,
    address     TEXT,
    request     TEXT,
    act         TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    source      TEXT,
    arguments   TEXT    NOT NULL,
    refused     TEXT
);

CREATE INDEX audit_at ON audit (at);

-- What came of acts that were done under a key.
CREATE TABLE idempotency (
    actor        TEXT    COLLATE "C" NOT NULL,
    key          TEXT    COLLATE "C" NOT NULL,
    fingerprint  BYTEA   NOT NULL CHECK (length(fingerprint) = 32),
    outcome      TEXT    NOT NULL,
    at           BIGINT  NOT NULL,
    PRIMARY KEY (actor, key)
);

CREATE INDEX idempotency_at ON idempotency (at);
