-- The newest malformed items of a source.
SELECT s.name AS source, m.cycle, m.partition, m.page, m.ref, m.error, m.sample, m.seen_at
FROM malformed m JOIN sources s ON s.id = m.source_id
WHERE m.source_id = $1 ORDER BY m.id DESC LIMIT $2
