-- The list of migrations that were applied exists.
CREATE TABLE IF NOT EXISTS tideline_migrations (
    version BIGINT PRIMARY KEY,
    name    TEXT NOT NULL
)
