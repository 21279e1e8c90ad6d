-- Deletes these pages.
DELETE FROM pages
WHERE (partition_id, page) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))
