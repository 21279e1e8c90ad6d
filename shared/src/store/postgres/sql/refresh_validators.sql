-- New validators of a page that is as remembered.
UPDATE pages p SET request = $3, etag = $4, last_modified = $5, content = $6
WHERE p.partition_id = $1 AND p.page = $2 AND by_index(p.partition_id)
