-- Cycles whose sweep is to be planned or performed; with the error of a failed partition.
SELECT c.source_id, s.name, c.number, (
    SELECT j.last_error FROM jobs j
    WHERE j.source_id = c.source_id AND j.cycle = c.number AND j.due_at IS NULL AND j.state = 'parked'
    ORDER BY j.id LIMIT 1) AS error
FROM cycles c
JOIN sources s ON s.id = c.source_id
WHERE c.state IN ('bursting', 'sweeping') AND c.state = 'sweeping'
ORDER BY c.source_id
LIMIT $1
