-- Stores the result of a check.
INSERT INTO check_results (source_id, began_at, ended_at, missing, extra, diverged, differences, failure, unconfirmed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (source_id, began_at) DO NOTHING
