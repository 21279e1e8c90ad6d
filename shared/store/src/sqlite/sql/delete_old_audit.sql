-- Deletes the oldest acts from before a moment, a few at a time.
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)
