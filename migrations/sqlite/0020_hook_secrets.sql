-- Secrets of hooks that `tideline hooks register` made, sealed with a key that is never in the store. The newest two of a hook.
CREATE TABLE hook_secrets (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    hook        TEXT    NOT NULL,
    sealed      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX hook_secrets_hook ON hook_secrets (hook, id);
