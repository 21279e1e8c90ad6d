-- A partition's row, if the lease holds and its cycle is bursting; none: nothing may be written.
SELECT j.source_id, j.cycle, s.name, j.trigger, s.hold_until, s.state <> 'active', j.progress, j.cursor
FROM jobs AS j
JOIN sources AS s ON s.id = j.source_id
JOIN cycles AS c ON c.source_id = j.source_id AND c.number = j.cycle
WHERE j.id = ?1 AND j.token = ?2 AND j.state = 'running' AND c.state = 'bursting'
