-- Partitions that wait on their ladder free their places for partitions that can run now. The source rows are locked by
-- the caller.
UPDATE jobs j SET due_at = j.due_at + $3
FROM sources s
WHERE s.id = ANY ($1::BIGINT[]) AND j.source_id = s.id AND j.cycle = s.cycle AND j.due_at > $2 AND j.due_at < $3
    AND j.state = 'waiting' AND j.rung > 0
