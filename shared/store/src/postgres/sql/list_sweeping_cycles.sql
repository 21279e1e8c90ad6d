-- Cycles whose sweep is to be planned or done.
SELECT c.source_id, s.name, c.number, NULL::TEXT AS error
FROM cycles c
JOIN sources s ON s.id = c.source_id
WHERE c.state IN ('bursting', 'sweeping') AND c.state = 'sweeping'
ORDER BY c.source_id
LIMIT $1
