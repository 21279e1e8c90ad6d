-- Changes before a position, newest first and without bodies, filtered by source, by kind and by text in the reference;
-- at most $6 among the next $5. Each row also has the number examined, and the last of them.
WITH looked AS MATERIALIZED (
    SELECT e.sequence, e.change, e.source_id, e.ref, e.changed_at
    FROM entities e WHERE e.sequence < $1 AND e.sequence > 0 ORDER BY e.sequence DESC LIMIT $5
)
SELECT b.looked, b.last, f.sequence, f.change, f.source, f.ref, f.changed_at, NULL AS body
FROM (SELECT count(*) AS looked, min(l.sequence) AS last FROM looked l) b
LEFT JOIN (
    SELECT l.sequence, l.change, s.name AS source, l.ref, l.changed_at
    FROM looked l JOIN sources s ON s.id = l.source_id
    WHERE ($2::TEXT IS NULL OR s.name = $2) AND ($3::TEXT IS NULL OR l.change = $3)
        AND ($4::TEXT IS NULL OR strpos(l.ref, $4) > 0)
    ORDER BY l.sequence DESC LIMIT $6
) f ON true
ORDER BY f.sequence DESC
