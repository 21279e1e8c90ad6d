-- Due sources without a running cycle start one, each by one scheduler: the cycle, the source's cycle number, and the
-- root partition, which counts as hinted at, since the scheduler sends the hint right away.
WITH picked AS MATERIALIZED (
    SELECT s.id, s.name, s.cycle + 1 AS number, coalesce(s.requested, 'schedule') AS trigger,
        CASE WHEN s.requested IS NULL THEN s.next_cycle_at END AS due_at,
        '{"args":{},"partition":' || to_json(s.name)::TEXT || '}' AS args
    FROM sources s
    WHERE s.state = 'active' AND s.source_type <> 'push' AND (s.requested IS NOT NULL OR s.next_cycle_at <= $2)
        AND NOT EXISTS (SELECT 1 FROM cycles c WHERE c.source_id = s.id AND c.state IN ('bursting', 'sweeping'))
    ORDER BY s.next_cycle_at, s.id
    LIMIT $1
    FOR NO KEY UPDATE OF s SKIP LOCKED
), started AS (
    INSERT INTO cycles (source_id, number, state, trigger, started_at, first_sequence)
    SELECT id, number, 'bursting', trigger, $2, (SELECT n.value FROM counters n WHERE n.name = 'sequence') FROM picked
), noted AS (
    UPDATE sources s SET cycle = p.number, requested = NULL, next_cycle_at = NULL FROM picked p WHERE s.id = p.id
), roots AS (
    INSERT INTO jobs AS j (kind, key, fingerprint, args, state, due_at, hinted_at, trigger, source_id, cycle, created_at, updated_at)
    SELECT 'ingest', name, sha256(convert_to(args, 'UTF8')), args, 'waiting', $2, $2, trigger, id, number, $2, $2 FROM picked
    ON CONFLICT (kind, key) DO UPDATE SET
        fingerprint = excluded.fingerprint, args = excluded.args, trigger = excluded.trigger, trace = NULL,
        source_id = excluded.source_id, cycle = excluded.cycle, state = 'waiting', due_at = excluded.due_at,
        token = j.token + CASE WHEN j.state = 'running' THEN 1 ELSE 0 END,
        cursor = NULL, progress = NULL, last_error = NULL, attempt = 0, rung = 0, rescues = 0, again_at = NULL,
        worker = NULL, hinted_at = excluded.hinted_at, parked_at = NULL, updated_at = excluded.updated_at
    RETURNING j.id, j.token, j.source_id
)
SELECT p.id AS source_id, p.name, p.number, p.trigger, p.due_at, r.id, r.token
FROM picked p JOIN roots r ON r.source_id = p.id
ORDER BY p.id
