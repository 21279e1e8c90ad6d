-- Statistics of the whole store at a minute; the first writer wins.
INSERT INTO samples (
    minute, due, lag, running, parked, dead_letters, last_sequence, last_event, entities, failed_cycles)
SELECT ?1,
    (SELECT count(*) FROM jobs WHERE state = 'waiting' AND due_at <= ?2),
    max(?2 - coalesce((SELECT min(due_at) FROM jobs WHERE state = 'waiting' AND due_at <= ?2), ?2), 0),
    (SELECT count(*) FROM jobs WHERE state = 'running'),
    (SELECT count(*) FROM jobs WHERE state = 'parked'),
    (SELECT count(*) FROM dead_letters),
    (SELECT value FROM counters WHERE name = 'sequence'),
    (SELECT max(coalesce((SELECT max(sequence) FROM events), 0), pruned_to) FROM event_log),
    c.entities, c.failed
FROM (
    SELECT coalesce(sum(json_extract(totals, '$.entities')), 0) AS entities,
        coalesce(sum(state IN ('incomplete', 'cancelled')), 0) AS failed
    FROM cycles WHERE ended_at >= ?1 - 60000 AND ended_at < ?1
) AS c
WHERE true
ON CONFLICT (minute) DO NOTHING
