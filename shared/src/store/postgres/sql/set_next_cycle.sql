-- When the next cycle of a source that rests starts.
UPDATE sources SET next_cycle_at = $2 WHERE id = $1
