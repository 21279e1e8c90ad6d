-- Each job of the batch is inserted, supersedes its row (another fingerprint), or leaves it as it is (the same one). A
-- running job keeps its attempt and runs again afterwards, once the newest request is due. A due job counts as hinted
-- at: the producer sends the hint right away. `created` recognizes an insert by its unlocked row.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BYTEA[], $4::TEXT[], $5::BIGINT[], $6::TEXT[], $7::TEXT[])
        WITH ORDINALITY AS n (kind, key, fingerprint, args, due_at, trigger, trace, place)
), written AS (
    INSERT INTO jobs AS j (kind, key, fingerprint, args, state, due_at, hinted_at, trigger, trace, created_at,
        updated_at)
    SELECT kind, key, fingerprint, args, 'waiting', due_at, CASE WHEN due_at <= $8 THEN $8 ELSE 0 END, trigger, trace, $8, $8
    FROM input ORDER BY kind, key
    ON CONFLICT (kind, key) DO UPDATE SET
        fingerprint = excluded.fingerprint,
        args = excluded.args,
        trigger = excluded.trigger,
        trace = excluded.trace,
        updated_at = excluded.updated_at,
        again_at = CASE WHEN j.state = 'running' THEN excluded.due_at END,
        state = CASE WHEN j.state = 'running' THEN j.state ELSE 'waiting' END,
        due_at = CASE WHEN j.state = 'running' THEN j.due_at ELSE excluded.due_at END,
        cursor = CASE WHEN j.state = 'running' THEN j.cursor END,
        progress = CASE WHEN j.state = 'running' THEN j.progress END,
        last_error = CASE WHEN j.state = 'running' THEN j.last_error END,
        attempt = CASE WHEN j.state = 'running' THEN j.attempt ELSE 0 END,
        rung = CASE WHEN j.state = 'running' THEN j.rung ELSE 0 END,
        rescues = CASE WHEN j.state = 'running' THEN j.rescues ELSE 0 END,
        hinted_at = CASE WHEN j.state = 'running' THEN 0 ELSE excluded.hinted_at END,
        parked_at = NULL
    WHERE j.fingerprint <> excluded.fingerprint
    RETURNING j.kind, j.key, j.id, j.token, j.state, (j.xmax = 0) AS created
)
SELECT coalesce(w.id, u.id) AS id, coalesce(w.token, u.token) AS token, w.state, w.created
FROM input n
LEFT JOIN written w ON w.kind = n.kind AND w.key = n.key
LEFT JOIN LATERAL (
    SELECT j.id, j.token FROM jobs j
    WHERE w.id IS NULL AND j.kind = n.kind AND j.key = n.key
    LIMIT 1
) u ON true
ORDER BY n.place
