-- Moves a held cycle back to sweeping, and keeps the source from starting another one meanwhile.
UPDATE cycles SET state = 'sweeping', ended_at = NULL WHERE source_id = ?1 AND number = ?2 AND state = 'held';
UPDATE sources SET next_cycle_at = NULL
WHERE id = ?1 AND EXISTS (SELECT 1 FROM cycles WHERE source_id = ?1 AND number = ?2 AND state = 'sweeping')
