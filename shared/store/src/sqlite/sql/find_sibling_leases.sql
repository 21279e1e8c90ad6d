-- Which of these partitions (place in the batch) may be committed as a whole: their lease holds, their cycle is
-- bursting, none of their pages was committed before, and they were not superseded.
SELECT b.key
FROM json_each(?1) AS b
CROSS JOIN jobs AS j ON j.id = b.value ->> 0
JOIN cycles AS c ON c.source_id = j.source_id AND c.number = j.cycle
WHERE j.token = b.value ->> 1 AND j.state = 'running' AND j.progress IS NULL AND j.again_at IS NULL AND c.state = 'bursting'
