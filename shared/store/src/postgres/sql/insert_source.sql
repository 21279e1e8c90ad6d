-- A new source; its first cycle is asked for, unless others push to it.
INSERT INTO sources (name, source_type, identity, parallel, state, requested, created_at)
VALUES ($1, $2, $3, $4, 'active', CASE WHEN $2 = 'push' THEN NULL ELSE 'start' END, $5)
RETURNING id
