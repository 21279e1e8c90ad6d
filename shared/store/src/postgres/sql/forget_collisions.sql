-- Forgets which references several places showed.
DELETE FROM collisions WHERE source_id = $1
