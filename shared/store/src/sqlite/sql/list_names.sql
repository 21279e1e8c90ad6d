-- Names of a source after ?2 and before ?3 that are like ?4, at most ?6, among the next ?5 of them; each row also has
-- the number examined, and the last of them. Reads only the table without bodies.
WITH looked AS MATERIALIZED (
    SELECT e.ref FROM entities AS e WHERE e.source_id = ?1 AND e.ref > ?2 AND e.ref < ?3 ORDER BY e.ref LIMIT ?5
)
SELECT b.looked, b.last, f.ref
FROM (SELECT count(*) AS looked, max(l.ref) AS last FROM looked AS l) AS b
LEFT JOIN (SELECT l.ref FROM looked AS l WHERE l.ref LIKE ?4 ESCAPE '\' ORDER BY l.ref LIMIT ?6) AS f ON TRUE
ORDER BY f.ref
