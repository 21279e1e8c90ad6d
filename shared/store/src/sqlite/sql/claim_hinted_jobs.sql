-- Leases the hinted jobs that are due and still have the token of the hint; a stale hint claims nothing.
UPDATE jobs SET
    state = 'running', worker = ?1, token = token + 1, attempt = attempt + 1, hinted_at = 0, updated_at = ?2
WHERE id IN (
    SELECT j.id
    FROM json_each(?5) AS h
    CROSS JOIN jobs AS j ON j.id = h.value ->> 0 AND j.token = h.value ->> 1
    WHERE j.state = 'waiting'
      AND j.due_at <= ?2
      AND j.kind IN (SELECT value FROM json_each(?3))
      AND NOT EXISTS (
          SELECT 1 FROM sources AS s WHERE s.id = j.source_id AND (s.state <> 'active' OR s.hold_until > ?2)
      )
    LIMIT ?4
)
RETURNING id, token, kind, key, fingerprint, args, cursor, progress, attempt, rung, trigger, trace, source_id, cycle, due_at
