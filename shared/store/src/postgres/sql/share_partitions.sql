-- Partitions that another one revealed before in this cycle have several parents from now on. Their rows are locked already.
UPDATE jobs j SET parent_id = 0
FROM unnest($1::TEXT[]) AS n (key), sources s
WHERE s.id = $2 AND j.kind = 'ingest' AND j.key = s.name || '/' || n.key AND j.cycle = $3 AND j.parent_id <> $4
    AND j.parent_id <> 0
