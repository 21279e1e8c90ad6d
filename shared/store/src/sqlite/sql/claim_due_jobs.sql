-- Leases the jobs that have been due longest; each gets a new token, so no two claims hold the same lease.
UPDATE jobs SET
    state = 'running', worker = ?1, token = token + 1, attempt = attempt + 1, hinted_at = 0, updated_at = ?2
WHERE id IN (
    SELECT j.id
    FROM jobs AS j INDEXED BY jobs_due
    WHERE j.state = 'waiting'
      AND j.due_at <= ?2
      AND j.kind IN (SELECT value FROM json_each(?3))
      AND NOT EXISTS (
          SELECT 1 FROM sources AS s WHERE s.id = j.source_id AND (s.state <> 'active' OR s.hold_until > ?2)
      )
    ORDER BY j.due_at, j.id
    LIMIT ?4
)
RETURNING id, token, kind, key, fingerprint, args, cursor, progress, attempt, rung, trigger, trace, source_id, cycle, due_at
