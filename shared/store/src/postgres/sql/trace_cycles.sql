-- Stores the traces of these cycles' starts with their roots; a root that has moved on to another cycle stays as it is.
UPDATE jobs j SET trace = n.trace
FROM unnest($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) AS n (id, cycle, trace)
WHERE j.id = n.id AND j.cycle = n.cycle
