-- What the pages of a cycle mark.
SELECT k.key_hashes
FROM pages AS p INDEXED BY pages_source
CROSS JOIN page_keys AS k ON k.partition_id = p.partition_id AND k.page = p.page
WHERE p.source_id = ?1 AND p.cycle = ?2
