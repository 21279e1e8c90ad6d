-- Ends attempts whose lease holds. A job that was superseded while it ran waits with its newest args instead, until
-- they are due. One without a due time was read in another's place, and waits for a place again. A partition that
-- climbs its ladder frees its place (4611686018427387904 is NO_PLACE). (The plus keeps the planner from scanning all
-- running jobs.)
UPDATE jobs SET
    state = CASE WHEN again_at IS NOT NULL THEN 'waiting' ELSE b.state END,
    due_at = CASE
        WHEN jobs.due_at IS NULL AND (again_at IS NOT NULL OR (b.state = 'waiting' AND b.rung IS NULL)) THEN NULL
        WHEN again_at IS NOT NULL THEN max(?2, again_at)
        ELSE b.due_at + CASE WHEN b.rung IS NOT NULL AND jobs.cycle IS NOT NULL THEN 4611686018427387904 ELSE 0 END
    END,
    attempt = CASE
        WHEN again_at IS NOT NULL OR b.success = 1 THEN 0
        WHEN b.unspent = 1 THEN max(attempt - 1, 0)
        ELSE attempt
    END,
    rung = CASE WHEN again_at IS NOT NULL OR b.success = 1 THEN 0 ELSE coalesce(b.rung, jobs.rung) END,
    rescues = CASE WHEN again_at IS NOT NULL OR b.success = 1 THEN 0 ELSE rescues END,
    cursor = CASE WHEN again_at IS NULL THEN cursor END,
    progress = CASE WHEN again_at IS NULL THEN progress END,
    last_error = CASE WHEN again_at IS NULL AND b.success = 0 THEN coalesce(b.error, last_error) END,
    worker = NULL, again_at = NULL, hinted_at = 0, updated_at = ?2
FROM (
    SELECT
        value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS state, value ->> 3 AS due_at, value ->> 4 AS success,
        value ->> 5 AS unspent, value ->> 6 AS rung, value ->> 7 AS error
    FROM json_each(?1)
) AS b
WHERE jobs.id = b.id AND jobs.token = b.token AND +jobs.state = 'running'
