-- Unclaimed due jobs whose last hint was sent at or before ?3.
SELECT j.kind, j.id, j.token, j.due_at, 1
FROM jobs AS j INDEXED BY jobs_hinted
WHERE j.state = 'waiting'
  AND j.hinted_at > 0
  AND j.hinted_at <= ?3
  AND j.due_at <= ?1
  AND NOT EXISTS (
      SELECT 1 FROM sources AS s WHERE s.id = j.source_id AND (s.state <> 'active' OR s.hold_until > ?1)
  )
ORDER BY j.hinted_at, j.due_at, j.id
LIMIT ?2
