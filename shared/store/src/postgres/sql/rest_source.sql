-- Lets the source rest until its next cycle, if this was its newest one.
UPDATE sources SET next_cycle_at = $3 WHERE id = $1 AND cycle = $2
