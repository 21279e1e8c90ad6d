-- A new source; its first cycle is asked for.
INSERT INTO sources (name, source_type, identity, parallel, state, requested, created_at)
VALUES (?1, ?2, ?3, ?4, 'active', 'start', ?5)
RETURNING id
