-- What an origin made: the pages of its partition ?2, and the hash of what deltas say of it ?3 (a page of hashes
-- without a number, whose makers are null).
SELECT k.key_hashes, k.makers, NULL
FROM jobs AS j
CROSS JOIN page_keys AS k ON k.partition_id = j.id
WHERE j.kind = 'ingest' AND j.key = ?2 AND j.source_id = ?1
UNION ALL
SELECT NULL, NULL, d.key_hash FROM deltas AS d INDEXED BY deltas_origin
WHERE d.source_id = ?1 AND d.origin = ?3 AND d.origin IS NOT NULL
