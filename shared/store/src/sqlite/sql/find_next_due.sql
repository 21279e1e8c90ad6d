-- The nearest moment after ?1 at which a job becomes due (a held-back source's when the hold ends) or a cycle starts.
SELECT min(moment)
FROM (
    SELECT min(due_at) AS moment
    FROM (
        SELECT due_at
        FROM jobs
        WHERE state = 'waiting' AND due_at > ?1 AND source_id IS NULL
        ORDER BY due_at
        LIMIT 1
    )
    UNION ALL
    SELECT min(max(j.due_at, s.hold_until))
    FROM sources AS s
    CROSS JOIN jobs AS j ON j.source_id = s.id AND j.cycle = s.cycle
    WHERE s.state = 'active' AND j.state = 'waiting' AND j.due_at < 4611686018427387904
      AND max(j.due_at, s.hold_until) > ?1
    UNION ALL
    SELECT min(s.next_cycle_at)
    FROM sources AS s
    WHERE s.state = 'active'
      AND s.next_cycle_at > ?1
      AND NOT EXISTS (
          SELECT 1 FROM cycles AS c WHERE c.source_id = s.id AND c.state IN ('bursting', 'sweeping')
      )
)
