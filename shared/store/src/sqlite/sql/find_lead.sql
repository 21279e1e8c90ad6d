-- Where the lead belongs, whose it is, and how many places there are; none: its lease is lost, its cycle does not
-- burst, or its source may not be asked.
SELECT l.source_id, l.cycle, l.worker, s.parallel
FROM jobs AS l
JOIN sources AS s ON s.id = l.source_id
JOIN cycles AS c ON c.source_id = l.source_id AND c.number = l.cycle
WHERE l.id = ?1 AND l.token = ?2 AND l.state = 'running' AND c.state = 'bursting' AND s.state = 'active' AND s.hold_until <= ?3
