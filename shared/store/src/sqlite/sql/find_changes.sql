-- Changes before a position, newest first and without bodies, filtered by source, by kind and by text in the reference;
-- at most ?6 among the next ?5. Each row also has the number examined, and the last of them.
WITH looked AS MATERIALIZED (
    SELECT c.sequence, c.source_id, c.ref FROM changes AS c WHERE c.sequence < ?1 ORDER BY c.sequence DESC LIMIT ?5
)
SELECT f.sequence, f.change, f.source, f.ref, f.changed_at, NULL, b.looked, b.last
FROM (SELECT count(*) AS looked, min(l.sequence) AS last FROM looked AS l) AS b
LEFT JOIN (
    SELECT l.sequence, e.change, coalesce(s.name, o.name, '') AS source, l.ref, e.changed_at
    FROM looked AS l
    CROSS JOIN entities AS e ON e.source_id = l.source_id AND e.ref = l.ref
    LEFT JOIN sources AS s ON s.id = l.source_id
    LEFT JOIN former_sources AS o ON o.id = l.source_id
    WHERE (?2 IS NULL OR coalesce(s.name, o.name, '') = ?2) AND (?3 IS NULL OR e.change = ?3) AND (?4 IS NULL OR instr(l.ref, ?4) > 0)
    ORDER BY l.sequence DESC LIMIT ?6
) AS f ON TRUE
ORDER BY f.sequence DESC
