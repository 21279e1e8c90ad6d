-- Which of these partitions may be committed as a whole: their lease holds, none of their pages was committed before,
-- and they were not superseded. Locks their rows.
SELECT j.id
FROM unnest($1::BIGINT[], $2::BIGINT[]) AS n (id, token)
JOIN jobs j ON j.id = n.id AND j.token = n.token AND j.state = 'running' AND j.progress IS NULL AND j.again_at IS NULL
ORDER BY j.id
FOR UPDATE OF j
