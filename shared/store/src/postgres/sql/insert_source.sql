-- Inserts a new source; requests its first cycle, unless it is a push source.
INSERT INTO sources (name, source_type, identity, parallel, state, requested, created_at)
VALUES ($1, $2, $3, $4, 'active', CASE WHEN $2 = 'push' THEN NULL ELSE 'start' END, $5)
RETURNING id
