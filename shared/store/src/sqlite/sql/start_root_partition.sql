-- The root partition of a new cycle is due at once and counts as hinted at, since the scheduler sends the hint right
-- away. Its token never decreases.
INSERT INTO jobs (kind, key, fingerprint, args, state, due_at, hinted_at, trigger, source_id, cycle, created_at, updated_at)
VALUES ('ingest', ?1, ?2, ?3, 'waiting', ?7, ?7, ?4, ?5, ?6, ?7, ?7)
ON CONFLICT (kind, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, args = excluded.args, cursor = NULL, progress = NULL, last_error = NULL,
    token = jobs.token + (jobs.state = 'running'), state = 'waiting', worker = NULL, due_at = excluded.due_at,
    attempt = 0, rung = 0, rescues = 0, again_at = NULL, hinted_at = excluded.hinted_at,
    trigger = excluded.trigger, trace = NULL,
    source_id = excluded.source_id, cycle = excluded.cycle, updated_at = excluded.updated_at
RETURNING id, token
