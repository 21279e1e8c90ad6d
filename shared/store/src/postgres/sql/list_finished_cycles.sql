-- Bursting cycles that have no active partition left, or that a partition gave up; with the error of one that failed.
SELECT c.source_id, s.name, c.number, (
    SELECT j.last_error FROM jobs j
    WHERE j.source_id = c.source_id AND j.cycle = c.number AND j.due_at IS NULL AND j.state IN ('cancelled', 'parked')
    ORDER BY j.state, j.id LIMIT 1) AS error
FROM cycles c
JOIN sources s ON s.id = c.source_id
WHERE c.state IN ('bursting', 'sweeping') AND c.state = 'bursting' AND (
    NOT EXISTS (
        SELECT 1 FROM jobs j WHERE j.source_id = c.source_id AND j.cycle = c.number AND j.due_at IS NOT NULL)
    OR c.given_up)
ORDER BY c.source_id
LIMIT $1
