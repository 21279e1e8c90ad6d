-- Forgets what every page of the source marked.
DELETE FROM pages WHERE source_id = $1
