-- What the pages of a source mark, with the key of each page's partition and when its reading began.
SELECT j.key, p.read_at, k.key_hashes, k.makers
FROM pages AS p INDEXED BY pages_source
CROSS JOIN jobs AS j ON j.id = p.partition_id
CROSS JOIN page_keys AS k ON k.partition_id = p.partition_id AND k.page = p.page
WHERE p.source_id = ?1
