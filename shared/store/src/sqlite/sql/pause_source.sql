-- Pauses a source: nothing of it runs until it is resumed.
UPDATE sources SET state = 'paused' WHERE id = ?1
