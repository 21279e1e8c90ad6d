-- The next reading of this page compares its items with the catalog, also if they are what they were.
UPDATE pages SET fingerprint = zeroblob(32), request = NULL, etag = NULL, last_modified = NULL, content = NULL
WHERE partition_id = ?1 AND page = ?2
