-- Makes partitions of the running cycle that wait for the end of a hold due at once.
UPDATE jobs j SET due_at = $2, hinted_at = 0, updated_at = $2
FROM sources s
WHERE s.id = $1 AND j.source_id = s.id AND j.cycle = s.cycle AND j.state = 'waiting'
    AND j.due_at > $2 AND j.due_at <= s.hold_until
