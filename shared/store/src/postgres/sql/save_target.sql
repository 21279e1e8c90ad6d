-- Stores an operator's command for a target, decided while its row is locked.
UPDATE targets SET state = $2, place = $3 WHERE name = $1
