-- Numbers of the whole store. What is not indexed is counted among the unfinished jobs only.
SELECT d.due, d.oldest_due_at, d.running,
    (SELECT count(*) FROM jobs WHERE parked_at IS NOT NULL) AS parked,
    (SELECT count(*) FROM cycles WHERE state = 'held') AS held_sweeps,
    (SELECT value FROM counters WHERE name = 'sequence') AS last_sequence
FROM (
    SELECT
        count(*) FILTER (WHERE j.state = 'waiting' AND j.due_at <= $1) AS due,
        min(j.due_at) FILTER (WHERE j.state = 'waiting' AND j.due_at <= $1) AS oldest_due_at,
        count(*) FILTER (WHERE j.state = 'running') AS running
    FROM jobs j WHERE j.due_at IS NOT NULL AND (j.due_at <= $1 OR j.state = 'running')
) d
