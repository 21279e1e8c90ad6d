-- What pages marked whose reading began after ?2. A source that rests since before then has none, and none is looked
-- for.
SELECT p.read_at, k.key_hashes
FROM sources AS s
CROSS JOIN cycles AS c ON c.source_id = s.id AND c.number = s.cycle
    AND (c.ended_at IS NULL OR c.ended_at >= ?2 OR c.started_at >= ?2)
CROSS JOIN jobs AS j ON j.source_id = s.id AND j.kind = 'ingest' AND j.updated_at >= ?2
CROSS JOIN pages AS p ON p.partition_id = j.id AND p.read_at > ?2
CROSS JOIN page_keys AS k ON k.partition_id = p.partition_id AND k.page = p.page
WHERE s.id = ?1
