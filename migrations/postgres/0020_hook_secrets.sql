-- Secrets of hooks that `tideline hooks register` made, sealed with a key that is never in the store. The newest two of a hook.
CREATE TABLE hook_secrets (
    id          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook        TEXT    COLLATE "C" NOT NULL,
    sealed      TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL
);

CREATE INDEX hook_secrets_hook ON hook_secrets (hook, id);
