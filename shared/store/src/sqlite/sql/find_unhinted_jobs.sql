-- Due jobs that no hint was sent for, the oldest first.
SELECT j.kind, j.id, j.token, j.due_at, 0
FROM jobs AS j INDEXED BY jobs_unhinted
WHERE j.state = 'waiting'
  AND j.hinted_at = 0
  AND j.due_at <= ?1
  AND NOT EXISTS (
      SELECT 1 FROM sources AS s WHERE s.id = j.source_id AND (s.state <> 'active' OR s.hold_until > ?1)
  )
ORDER BY j.due_at, j.id
LIMIT ?2
