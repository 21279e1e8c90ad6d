-- Statistics of the whole store. A running job became due before it was claimed.
SELECT d.due, d.oldest_due_at, d.running,
    (SELECT count(*) FROM jobs WHERE parked_at IS NOT NULL) AS parked,
    (SELECT count(*) FROM sources WHERE held_cycle IS NOT NULL AND approved IS NULL) AS held_sweeps,
    (SELECT value FROM counters WHERE name = 'sequence') AS last_sequence
FROM (
    SELECT
        count(*) FILTER (WHERE j.state = 'waiting') AS due,
        min(j.due_at) FILTER (WHERE j.state = 'waiting') AS oldest_due_at,
        count(*) FILTER (WHERE j.state = 'running') AS running
    FROM jobs j WHERE j.due_at <= $1
) d
