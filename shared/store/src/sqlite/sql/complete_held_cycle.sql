-- Completes a held cycle without its sweep, for this reason.
UPDATE cycles SET state = 'complete', reason = ?3 WHERE source_id = ?1 AND number = ?2 AND state = 'held'
