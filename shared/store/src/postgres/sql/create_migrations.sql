-- Creates the table of applied migrations if it is missing.
CREATE TABLE IF NOT EXISTS tideline_migrations (
    version BIGINT PRIMARY KEY,
    name    TEXT NOT NULL
)
