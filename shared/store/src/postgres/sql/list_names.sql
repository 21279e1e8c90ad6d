-- Names of a source after $2 and before $3 that are like $4, at most $6, among the next $5 of them; each row also has
-- the number examined, and the last of them. An index-only scan.
WITH looked AS MATERIALIZED (
    SELECT e.ref FROM entities e WHERE e.source_id = $1 AND e.ref > $2 AND e.ref < $3 ORDER BY e.ref LIMIT $5
)
SELECT b.looked, b.last, f.ref
FROM (SELECT count(*) AS looked, max(l.ref) AS last FROM looked l) b
LEFT JOIN (SELECT l.ref FROM looked l WHERE l.ref LIKE $4 ORDER BY l.ref LIMIT $6) f ON true
ORDER BY f.ref
