-- Ends the attempts whose lease holds. A job superseded while it ran waits with its newest args until they are due,
-- whatever the settlement; `hinted_at` -1 (never hinted) marks that. Partitions that leave their place, for good or
-- while they wait on their ladder ($9 is NO_PLACE), and siblings that wait for one again, are settled only if $8: that
-- takes a transaction that also gives the place to another partition.
UPDATE jobs j SET
    state = CASE WHEN j.again_at IS NULL AND n.kind IN ('done', 'parked', 'cancelled') THEN n.kind ELSE 'waiting' END,
    due_at = CASE
        WHEN j.again_at IS NULL AND n.kind IN ('done', 'parked', 'cancelled') THEN NULL
        WHEN j.due_at >= $9 AND (j.again_at IS NOT NULL OR n.kind = 'handed_back') THEN j.due_at
        WHEN j.again_at IS NOT NULL OR n.kind = 'handed_back' THEN greatest($7, j.again_at)
        WHEN j.due_at >= $9 OR (n.kind = 'retry' AND j.cycle IS NOT NULL) THEN n.due_at + $9::BIGINT
        ELSE n.due_at END,
    parked_at = CASE WHEN j.again_at IS NULL AND n.kind = 'parked' THEN $7 END,
    attempt = CASE
        WHEN j.again_at IS NOT NULL OR n.kind IN ('done', 'again') THEN 0
        WHEN n.kind IN ('postponed', 'handed_back') THEN greatest(j.attempt - 1, 0)
        ELSE j.attempt END,
    rung = CASE
        WHEN j.again_at IS NOT NULL OR n.kind IN ('done', 'again') THEN 0
        WHEN n.kind = 'retry' THEN n.rung
        ELSE j.rung END,
    rescues = CASE WHEN j.again_at IS NOT NULL OR n.kind IN ('done', 'again') THEN 0 ELSE j.rescues END,
    last_error = CASE
        WHEN j.again_at IS NULL AND n.kind NOT IN ('done', 'again') THEN coalesce(n.error, j.last_error) END,
    cursor = CASE WHEN j.again_at IS NULL THEN j.cursor END,
    progress = CASE WHEN j.again_at IS NULL THEN j.progress END,
    hinted_at = CASE WHEN j.again_at IS NOT NULL THEN -1 ELSE 0 END,
    again_at = NULL,
    worker = NULL,
    updated_at = $7
FROM unnest($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::INTEGER[], $6::TEXT[])
    AS n (id, token, kind, due_at, rung, error)
WHERE j.id = n.id AND j.token = n.token AND j.state = 'running'
    AND ($8 OR j.source_id IS NULL OR (n.kind NOT IN ('done', 'parked', 'cancelled', 'retry') AND j.due_at < $9))
RETURNING j.id, j.token, j.hinted_at, j.source_id, (j.due_at IS NULL OR j.due_at >= $9::BIGINT) AS leaves
