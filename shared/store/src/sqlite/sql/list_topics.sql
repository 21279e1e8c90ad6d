-- Distinct topics of the events in a range of positions.
SELECT DISTINCT topic FROM events WHERE sequence > ?1 AND sequence <= ?2
