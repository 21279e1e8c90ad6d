-- Statistics of the whole store at a minute; the first writer wins. A running job became due before it was claimed.
INSERT INTO samples (
    minute, due, lag, running, parked, dead_letters, last_sequence, last_event, entities, failed_cycles)
SELECT $1, d.due, greatest($2 - coalesce(d.oldest_due_at, $2), 0), d.running,
    (SELECT count(*) FROM jobs WHERE parked_at IS NOT NULL),
    (SELECT count(*) FROM dead_letters),
    (SELECT value FROM counters WHERE name = 'sequence'),
    (SELECT last FROM event_log),
    c.entities, c.failed
FROM (
    SELECT
        count(*) FILTER (WHERE j.state = 'waiting') AS due,
        min(j.due_at) FILTER (WHERE j.state = 'waiting') AS oldest_due_at,
        count(*) FILTER (WHERE j.state = 'running') AS running
    FROM jobs j WHERE j.due_at <= $2
) d
CROSS JOIN (
    SELECT coalesce(sum((c.totals::JSON ->> 'entities')::BIGINT), 0)::BIGINT AS entities,
        count(*) FILTER (WHERE c.state IN ('incomplete', 'cancelled')) AS failed
    FROM cycles c WHERE c.ended_at >= $1 - 60000 AND c.ended_at < $1
) c
ON CONFLICT (minute) DO NOTHING
