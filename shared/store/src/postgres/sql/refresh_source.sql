-- Requests a cycle, which starts as soon as none is running; unblocks the source, and lifts a hold.
UPDATE sources SET
    requested = $2, blocked_reason = NULL, hold_until = 0,
    state = CASE WHEN state = 'blocked' THEN 'active' ELSE state END
WHERE id = $1
