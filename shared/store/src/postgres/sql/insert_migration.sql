-- Notes an applied migration; a second time is an error.
INSERT INTO tideline_migrations (version, name) VALUES ($1, $2)
