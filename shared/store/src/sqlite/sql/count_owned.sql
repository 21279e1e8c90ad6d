-- A source owns so many more (or fewer) live entities.
UPDATE sources SET entities = entities + ?2 WHERE id = ?1 RETURNING entities
