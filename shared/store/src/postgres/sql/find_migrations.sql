-- Says whether this database was ever migrated; asks the catalog, so it needs no right on the table.
SELECT to_regclass('tideline_migrations') IS NOT NULL AS there
