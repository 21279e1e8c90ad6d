-- What was asked for or due has started.
UPDATE sources SET cycle = ?2, requested = NULL, next_cycle_at = NULL WHERE id = ?1
