-- A held cycle sweeps after all, and the source does not start another one meanwhile.
UPDATE cycles SET state = 'sweeping', ended_at = NULL WHERE source_id = ?1 AND number = ?2 AND state = 'held'
