-- What a person wants of a target, decided while nobody else writes.
UPDATE targets SET state = ?2, place = ?3 WHERE name = ?1
