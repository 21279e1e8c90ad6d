-- Malformed items of a source, the newest first.
SELECT s.name, m.cycle, m.partition, m.page, m.ref, m.error, m.sample, m.seen_at
FROM malformed AS m
JOIN sources AS s ON s.id = m.source_id
WHERE m.source_id = ?1
ORDER BY m.id DESC
LIMIT ?2
