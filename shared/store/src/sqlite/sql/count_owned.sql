-- Adjusts the number of live entities that a source owns.
UPDATE sources SET entities = entities + ?2 WHERE id = ?1 RETURNING entities
