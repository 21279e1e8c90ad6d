-- The file's schema version, whose file it is, and whether there is anything in it.
SELECT
    (SELECT user_version FROM pragma_user_version),
    (SELECT application_id FROM pragma_application_id),
    (SELECT count(*) FROM sqlite_schema)
