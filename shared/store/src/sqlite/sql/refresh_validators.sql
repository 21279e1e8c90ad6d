-- The page holds what it held; how to ask for it again, or where the next one starts, has changed.
UPDATE pages SET request = ?3, etag = ?4, last_modified = ?5, content = ?6, next = ?7 WHERE partition_id = ?1 AND page = ?2
