-- Records that partitions already revealed by another one in this cycle have several parents. Their rows are already
-- locked.
UPDATE jobs j SET parent_id = 0
FROM unnest($1::TEXT[]) AS n (key), sources s
WHERE s.id = $2 AND j.kind = 'ingest' AND j.key = s.name || '/' || n.key AND j.cycle = $3 AND j.parent_id <> $4
    AND j.parent_id <> 0
