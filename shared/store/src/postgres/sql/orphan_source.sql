-- Orphans a source: nothing of it runs, but its entities stay.
UPDATE sources SET state = 'orphaned', blocked_reason = NULL, requested = NULL, next_cycle_at = NULL WHERE id = $1
