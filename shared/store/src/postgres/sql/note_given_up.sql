-- Marks the cycles of these partitions as given up, if they are cancelled: an index over states would have to be
-- written by every claim.
UPDATE cycles c SET given_up = true
FROM jobs j
WHERE j.id = ANY ($1::BIGINT[]) AND j.state = 'cancelled' AND c.source_id = j.source_id AND c.number = j.cycle
