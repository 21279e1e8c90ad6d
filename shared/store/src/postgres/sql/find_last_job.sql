-- The last of the $2 jobs after $1.
SELECT max(id) AS last FROM (SELECT j.id FROM jobs AS j WHERE j.id > $1 ORDER BY j.id LIMIT $2) AS n
