-- Child partitions of this cycle wait for a place; what this cycle has revealed before stays as it is.
INSERT INTO jobs (kind, key, fingerprint, args, state, trigger, trace, source_id, cycle, created_at, updated_at, parent_id)
SELECT 'ingest', value ->> 0, unhex(value ->> 1), value ->> 2, 'waiting', ?2, (SELECT trace FROM jobs WHERE id = ?6),
    ?3, ?4, ?5, ?5, ?6
FROM json_each(?1)
WHERE true
ON CONFLICT (kind, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, args = excluded.args, cursor = NULL, progress = NULL, last_error = NULL,
    token = jobs.token + (jobs.state = 'running'), state = 'waiting', worker = NULL, due_at = NULL,
    attempt = 0, rung = 0, rescues = 0, again_at = NULL, hinted_at = 0,
    trigger = excluded.trigger, trace = excluded.trace,
    source_id = excluded.source_id, cycle = excluded.cycle, updated_at = excluded.updated_at,
    parent_id = CASE WHEN coalesce(jobs.parent_id, ?6) = ?6 THEN ?6 ELSE 0 END
WHERE jobs.cycle < excluded.cycle
