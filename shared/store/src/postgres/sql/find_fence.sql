-- Whether the lease holds and its cycle is bursting, with the job's progress; locks the row.
SELECT j.source_id, j.cycle, j.cursor, j.progress, s.hold_until, s.state, s.deltas
FROM jobs j
JOIN sources s ON s.id = j.source_id
JOIN cycles c ON c.source_id = j.source_id AND c.number = j.cycle AND c.state = 'bursting'
WHERE j.id = $1 AND j.token = $2 AND j.state = 'running'
FOR UPDATE OF j
