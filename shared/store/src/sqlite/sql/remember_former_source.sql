-- The change feed goes on naming the source.
INSERT INTO former_sources (id, name) SELECT id, name FROM sources WHERE id = ?1
