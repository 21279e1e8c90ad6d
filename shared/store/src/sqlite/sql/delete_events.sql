-- Drops the events up to a place.
DELETE FROM events WHERE sequence <= ?1
