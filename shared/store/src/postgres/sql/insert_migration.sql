-- Records an applied migration; doing so twice is an error.
INSERT INTO tideline_migrations (version, name) VALUES ($1, $2)
