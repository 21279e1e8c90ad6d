-- What the pages of a source mark: those of this cycle, and older ones of partitions that are kept.
SELECT p.partition_id, p.page, k.key_hashes
FROM pages AS p INDEXED BY pages_source
CROSS JOIN page_keys AS k ON k.partition_id = p.partition_id AND k.page = p.page
WHERE p.source_id = ?1
