-- Names of a source after $2 and before $3, by group: in each those from the group's $4 to its $5, at most $9. A group
-- ends with $6, and all of it comes before $7 in that place. At most $8 groups, and no further one when $9 names are
-- found; a last row without a group says that there is none. Steps over the other names of a group through the index.
WITH RECURSIVE groups (name, found, place) AS (
    SELECT (
        SELECT substr(e.ref, 1, strpos(e.ref, $6::TEXT)) FROM entities e
        WHERE e.source_id = $1 AND e.ref > $2 AND e.ref < $3 ORDER BY e.ref LIMIT 1
    ), 0::BIGINT, 1
    UNION ALL
    SELECT (
        SELECT substr(e.ref, 1, strpos(e.ref, $6::TEXT)) FROM entities e
        WHERE e.source_id = $1 AND e.ref > substr(g.name, 1, length(g.name) - 1) || $7::TEXT AND e.ref < $3
        ORDER BY e.ref LIMIT 1
    ), g.found + (
        SELECT count(*) FROM (
            SELECT FROM entities e
            WHERE e.source_id = $1 AND e.ref >= g.name || $4::TEXT AND e.ref <= g.name || $5::TEXT AND e.ref > $2
            ORDER BY e.ref LIMIT $9
        ) n
    ), g.place + 1
    FROM groups g
    WHERE g.name IS NOT NULL AND g.place < $8 AND g.found < $9
)
SELECT g.name, ARRAY(
    SELECT e.ref FROM entities e
    WHERE e.source_id = $1 AND e.ref >= g.name || $4::TEXT AND e.ref <= g.name || $5::TEXT AND e.ref > $2
    ORDER BY e.ref LIMIT $9
) AS refs
FROM groups g
ORDER BY g.place
