-- Inserts child partitions of this cycle, once each; they wait for a place. Those that already exist in this cycle
-- stay.
INSERT INTO jobs AS j (kind, key, fingerprint, args, state, due_at, trigger, trace, source_id, cycle, created_at, updated_at,
    parent_id)
SELECT 'ingest', s.name || '/' || n.key, n.fingerprint, n.args, 'waiting', $7, p.trigger, p.trace, $2, $3, $8, $8, $1
FROM unnest($4::TEXT[], $5::BYTEA[], $6::TEXT[]) AS n (key, fingerprint, args)
JOIN sources s ON s.id = $2
JOIN jobs p ON p.id = $1
ORDER BY n.key
ON CONFLICT (kind, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, args = excluded.args, trigger = excluded.trigger, trace = excluded.trace,
    source_id = excluded.source_id, cycle = excluded.cycle, state = 'waiting', due_at = excluded.due_at,
    token = j.token + CASE WHEN j.state = 'running' THEN 1 ELSE 0 END,
    cursor = NULL, progress = NULL, last_error = NULL, attempt = 0, rung = 0, rescues = 0, again_at = NULL, worker = NULL,
    hinted_at = 0, parked_at = NULL, updated_at = excluded.updated_at,
    parent_id = CASE WHEN coalesce(j.parent_id, $1) = $1 THEN $1 ELSE 0 END
WHERE j.cycle IS NULL OR j.cycle < excluded.cycle
