-- What each page of a source shows, with the key of its partition.
SELECT p.partition_id, p.page, j.key, k.key_hashes, p.kept, p.lost
FROM pages AS p INDEXED BY pages_source
CROSS JOIN page_keys AS k ON k.partition_id = p.partition_id AND k.page = p.page
CROSS JOIN jobs AS j ON j.id = p.partition_id
WHERE p.source_id = ?1
