-- Moves the next cycle of a source that has been resting since cycle $2, if it has not moved since it was read.
UPDATE sources s SET next_cycle_at = $4
WHERE s.id = $1 AND s.cycle = $2 AND s.next_cycle_at IS NOT DISTINCT FROM $3
    AND NOT EXISTS (SELECT 1 FROM cycles c WHERE c.source_id = s.id AND c.state IN ('bursting', 'sweeping'))
