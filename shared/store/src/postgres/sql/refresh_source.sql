-- A cycle starts as soon as none is running; unblocks.
UPDATE sources SET
    requested = $2, blocked_reason = NULL, state = CASE WHEN state = 'blocked' THEN 'active' ELSE state END
WHERE id = $1
