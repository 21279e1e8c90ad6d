-- Cycles whose sweep is to be planned or performed; with the error of a failed partition.
SELECT
    c.source_id, s.name, c.number, c.totals, c.removed,
    (
        SELECT j.last_error FROM jobs AS j
        WHERE j.source_id = c.source_id AND j.cycle = c.number AND j.state = 'parked'
        ORDER BY j.id
        LIMIT 1
    )
FROM cycles AS c INDEXED BY cycles_running
JOIN sources AS s ON s.id = c.source_id
WHERE c.state IN ('bursting', 'sweeping')
  AND c.state = 'sweeping'
ORDER BY c.source_id
LIMIT ?1
