-- The cycles of these partitions are given up, if they are cancelled: an index over states would make every claim write it.
UPDATE cycles c SET given_up = true
FROM jobs j
WHERE j.id = ANY ($1::BIGINT[]) AND j.state = 'cancelled' AND c.source_id = j.source_id AND c.number = j.cycle
