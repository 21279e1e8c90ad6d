-- Active sources without a running cycle whose next one is requested or due; and since when, if it was not requested.
SELECT
    s.id, s.name, s.cycle + 1, coalesce(s.requested, 'schedule'), CASE WHEN s.requested IS NULL THEN s.next_cycle_at END
FROM sources AS s
WHERE s.state = 'active' AND s.source_type <> 'push'
  AND (s.requested IS NOT NULL OR s.next_cycle_at <= ?1)
  AND NOT EXISTS (
      SELECT 1 FROM cycles AS c WHERE c.source_id = s.id AND c.state IN ('bursting', 'sweeping')
  )
ORDER BY s.next_cycle_at, s.id
LIMIT ?2
