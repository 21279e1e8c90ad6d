-- Jobs of a kind whose args contain a text, by number: scans all jobs of the kind.
WITH found AS MATERIALIZED (
    SELECT j.id FROM jobs j WHERE j.kind = $1 AND strpos(j.args, $2) > 0
)
SELECT j.id, j.kind, j.key, j.state, j.due_at, j.attempt, j.rung, j.token, j.worker, w.alive_until, j.last_error,
    j.trigger, j.args, j.cursor, j.progress, j.trace, s.name AS source, j.cycle, j.created_at, j.updated_at
FROM found
CROSS JOIN LATERAL (SELECT * FROM jobs j WHERE j.id = found.id LIMIT 1) j
LEFT JOIN sources s ON s.id = j.source_id
LEFT JOIN workers w ON w.worker = j.worker AND w.alive_until > 0
ORDER BY j.id
LIMIT $3
