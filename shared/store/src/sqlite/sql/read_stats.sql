-- Numbers of the whole store; reads indexes only.
SELECT
    (SELECT count(*) FROM jobs WHERE state = 'waiting' AND due_at <= ?1),
    (SELECT min(due_at) FROM jobs WHERE state = 'waiting' AND due_at <= ?1),
    (SELECT count(*) FROM jobs WHERE state = 'running'),
    (SELECT count(*) FROM jobs WHERE state = 'parked'),
    (SELECT count(*) FROM sources WHERE held_cycle IS NOT NULL AND approved IS NULL),
    (SELECT value FROM counters WHERE name = 'sequence')
