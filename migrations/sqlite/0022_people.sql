-- People who sign in at an OpenID provider: who they are, as JSON, in their session; and as actors of the audit log.
ALTER TABLE sessions ADD COLUMN person TEXT;

-- A constraint is changed with its table.
CREATE TABLE audit_with_people (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor_kind  TEXT    NOT NULL CHECK (actor_kind IN ('token', 'local', 'system', 'person')),
    actor       TEXT    NOT NULL,
    address     TEXT,
    request     TEXT,
    act         TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    source      TEXT,
    arguments   TEXT    NOT NULL,
    refused     TEXT
) STRICT;
INSERT INTO audit_with_people SELECT * FROM audit;
DROP TABLE audit;
ALTER TABLE audit_with_people RENAME TO audit;
CREATE INDEX audit_at ON audit (at);
