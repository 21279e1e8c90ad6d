-- Pages that mark an entity by its hash, 8 bytes big-endian. Reads the manifest of the source.
SELECT j.id, j.key, p.page, p.cycle, nullif(p.read_at, 0)
FROM pages AS p
JOIN page_keys AS k ON k.partition_id = p.partition_id AND k.page = p.page
JOIN jobs AS j ON j.id = p.partition_id
WHERE p.source_id = ?1 AND instr(k.key_hashes, ?2) % 8 = 1
ORDER BY j.key, p.page
LIMIT 5
