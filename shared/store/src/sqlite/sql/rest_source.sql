-- When the next cycle of a source starts.
UPDATE sources SET next_cycle_at = ?2 WHERE id = ?1
