-- Nothing of the source runs until it is resumed.
UPDATE sources SET state = 'paused' WHERE id = ?1
