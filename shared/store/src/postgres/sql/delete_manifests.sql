-- Deletes the manifests of the source.
DELETE FROM pages WHERE source_id = $1
