-- No request to the source before ?2; a longer hold stays.
UPDATE sources SET hold_until = ?2 WHERE id = ?1 AND hold_until < ?2
