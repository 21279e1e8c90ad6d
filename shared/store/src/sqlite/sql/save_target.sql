-- Stores an operator's command for a target, decided while no other connection writes.
UPDATE targets SET state = ?2, place = ?3 WHERE name = ?1
