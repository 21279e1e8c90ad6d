-- Sums over the partitions of a cycle.
SELECT
    count(*),
    sum(state = 'done'),
    sum(state = 'parked'),
    sum(state = 'cancelled'),
    sum(progress ->> 'pages'),
    sum(progress ->> 'pages_unchanged'),
    sum(progress ->> 'entities'),
    sum(progress ->> 'added'),
    sum(progress ->> 'modified'),
    sum(progress ->> 'unchanged'),
    sum(progress ->> 'malformed'),
    sum(progress ->> 'unidentified')
FROM jobs
WHERE source_id = ?1 AND cycle = ?2
