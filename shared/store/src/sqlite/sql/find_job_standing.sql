-- What the decision on a retry is based on.
SELECT j.state, j.source_id, j.cycle, coalesce(c.state = 'bursting', 0)
FROM jobs AS j
LEFT JOIN cycles AS c ON c.source_id = j.source_id AND c.number = j.cycle
WHERE j.id = ?1
