-- A worker's lease is over at once.
DELETE FROM workers WHERE worker = ?1
