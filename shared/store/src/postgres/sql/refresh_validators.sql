-- Stores new validators, and the next cursor, of an unchanged page.
UPDATE pages p SET next = $3, request = $4, etag = $5, last_modified = $6, content = $7
WHERE p.partition_id = $1 AND p.page = $2
