-- The roots of these cycles know where the cycles were started; a root of another cycle by now stays as it is.
UPDATE jobs SET trace = n.value ->> 2
FROM json_each(?1) AS n
WHERE jobs.id = n.value ->> 0 AND jobs.cycle = n.value ->> 1
