-- Live entities by (source name, reference), after a place in that order.
SELECT s.name AS source, e.ref, e.fingerprint, e.sequence, e.changed_at, e.body
FROM sources s
CROSS JOIN LATERAL (
    SELECT * FROM entities e
    WHERE e.source_id = s.id AND e.change <> 'removed'
        AND ($3::TEXT IS NULL OR e.ref = $3)
        AND ($2::TEXT IS NULL OR (e.ref >= $2 || ':' AND e.ref < $2 || ';'))
        AND ($4::TEXT IS NULL OR s.name > $4 OR e.ref > $5)
        AND by_index(e.source_id)
    ORDER BY e.ref
    LIMIT $6
) e
WHERE ($1::TEXT IS NULL OR s.name = $1) AND ($4::TEXT IS NULL OR s.name >= $4)
ORDER BY s.name, e.ref
LIMIT $6
