-- Running jobs of workers whose lease has expired wait again; after $4 rescues in a row a job is parked: it seems to
-- kill its workers. Jobs that another transaction is writing are left for the next run. Of those due from $7 to $8;
-- those without a place (due time of $9 or more) wait for one again.
WITH dead AS MATERIALIZED (
    SELECT worker FROM workers WHERE alive_until < $6
), picked AS MATERIALIZED (
    SELECT j.id, j.worker FROM jobs j
    WHERE j.due_at >= $7 AND j.due_at <= $8 AND j.state = 'running' AND j.worker IN (SELECT worker FROM dead)
    ORDER BY j.due_at, j.id
    LIMIT $1
    FOR UPDATE OF j SKIP LOCKED
)
UPDATE jobs j SET
    state = CASE WHEN j.rescues + 1 >= $4 THEN 'parked' ELSE 'waiting' END,
    due_at = CASE
        WHEN j.rescues + 1 >= $4 THEN NULL
        WHEN j.due_at >= $9 THEN j.due_at
        WHEN j.rescues + 1 > $2 THEN greatest($3, j.again_at)
        ELSE greatest($6, j.again_at) END,
    parked_at = CASE WHEN j.rescues + 1 >= $4 THEN $6 END,
    last_error = CASE WHEN j.rescues + 1 >= $4 THEN $5 ELSE j.last_error END,
    rescues = j.rescues + 1,
    cursor = CASE WHEN j.again_at IS NULL THEN j.cursor END,
    progress = CASE WHEN j.again_at IS NULL THEN j.progress END,
    again_at = NULL,
    worker = NULL,
    hinted_at = 0,
    updated_at = $6
FROM picked p
WHERE j.id = p.id
RETURNING j.id, p.worker, j.state = 'parked' AS parked, j.source_id, (j.state = 'parked' OR j.due_at >= $9) AS leaves
