-- Blocks a source; a paused source becomes blocked when it is resumed.
UPDATE sources SET blocked_reason = $2, state = CASE WHEN state = 'active' THEN 'blocked' ELSE state END
WHERE id = $1 AND state <> 'orphaned'
