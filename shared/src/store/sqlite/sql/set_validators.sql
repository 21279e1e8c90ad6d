-- The page is as before; how to ask for it again has changed.
UPDATE pages SET request = ?3, etag = ?4, last_modified = ?5, content = ?6 WHERE partition_id = ?1 AND page = ?2
