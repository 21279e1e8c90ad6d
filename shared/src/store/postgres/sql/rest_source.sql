-- The source rests until its next cycle, if this was its newest one; blocked if there is a reason.
UPDATE sources SET
    next_cycle_at = CASE WHEN cycle = $2 THEN $3 ELSE next_cycle_at END,
    blocked_reason = coalesce($4, blocked_reason),
    state = CASE WHEN $4 IS NOT NULL AND state = 'active' THEN 'blocked' ELSE state END
WHERE id = $1
