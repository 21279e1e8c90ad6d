-- Deletes the record of an object that a target owned.
DELETE FROM target_objects WHERE target = ?1 AND object = ?2
