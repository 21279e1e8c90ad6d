-- The earliest time after $1 at which a job becomes due, a held-back source with waiting jobs may continue, or a cycle
-- starts.
SELECT min(moment) AS moment FROM (
    (SELECT j.due_at AS moment FROM jobs j
     WHERE j.due_at > $1 AND j.due_at < $2 AND j.state = 'waiting'
        AND (j.source_id IS NULL OR EXISTS (
            SELECT 1 FROM sources s WHERE s.id = j.source_id AND s.state = 'active' AND s.hold_until <= j.due_at))
     ORDER BY j.due_at, j.id LIMIT 1)
    UNION ALL
    (SELECT s.hold_until FROM sources s
     WHERE s.state = 'active' AND s.hold_until > $1 AND EXISTS (
        SELECT 1 FROM jobs j WHERE j.source_id = s.id AND j.cycle = s.cycle AND j.due_at < s.hold_until
            AND j.state = 'waiting')
     ORDER BY s.hold_until LIMIT 1)
    UNION ALL
    (SELECT s.next_cycle_at FROM sources s
     WHERE s.state = 'active' AND s.next_cycle_at > $1 AND NOT EXISTS (
        SELECT 1 FROM cycles c WHERE c.source_id = s.id AND c.state IN ('bursting', 'sweeping'))
     ORDER BY s.next_cycle_at LIMIT 1)
) moments
