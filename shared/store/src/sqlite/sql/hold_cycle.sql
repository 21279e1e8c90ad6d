-- The sweep of this cycle waits for a person.
UPDATE cycles SET state = 'held', reason = ?3, ended_at = ?4
WHERE source_id = ?1 AND number = ?2 AND state = 'sweeping'
