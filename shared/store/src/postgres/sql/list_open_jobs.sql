-- Like list_jobs, of waiting or running jobs only: usually few among many, so they are found by their index.
WITH found AS MATERIALIZED (
    SELECT j.id FROM jobs j
    WHERE j.due_at IS NOT NULL
        AND ($1::TEXT IS NULL OR j.kind = $1)
        AND ($2::TEXT IS NULL OR j.state = $2)
        AND ($3::TEXT IS NULL OR j.source_id = (SELECT x.id FROM sources x WHERE x.name = $3)
            OR j.kind = 'refresh' AND starts_with(j.key, $3 || '/'))
        AND ($4::TEXT IS NULL OR j.key = $4)
        AND ($5::BIGINT IS NULL OR j.id > $5)
)
SELECT j.id, j.kind, j.key, j.state, j.due_at, j.attempt, j.rung, j.token, j.worker, w.alive_until, j.last_error,
    j.trigger, j.args, j.cursor, j.progress, j.trace, s.name AS source, j.cycle, j.created_at, j.updated_at
FROM found
JOIN jobs j ON j.id = found.id
LEFT JOIN sources s ON s.id = j.source_id
LEFT JOIN workers w ON w.worker = j.worker AND w.alive_until > 0
ORDER BY j.id
LIMIT $6
