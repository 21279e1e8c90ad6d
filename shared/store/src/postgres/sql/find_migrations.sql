-- Whether this database was ever migrated; reads the system catalog, so it needs no privilege on the table.
SELECT to_regclass('tideline_migrations') IS NOT NULL AS there
