-- Holds back requests to the source until ?2; a longer hold stays.
UPDATE sources SET hold_until = ?2 WHERE id = ?1 AND hold_until < ?2
