-- Moves the next cycle of a source that has been resting since cycle ?2, if it has not moved since it was read.
UPDATE sources SET next_cycle_at = ?4
WHERE id = ?1
  AND cycle = ?2
  AND next_cycle_at IS ?3
  AND NOT EXISTS (SELECT 1 FROM cycles AS c WHERE c.source_id = sources.id AND c.state IN ('bursting', 'sweeping'))
