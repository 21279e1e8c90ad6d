-- The roots of these cycles know where the cycles were started; a root of another cycle by now stays as it is.
UPDATE jobs j SET trace = n.trace
FROM unnest($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) AS n (id, cycle, trace)
WHERE j.id = n.id AND j.cycle = n.cycle
