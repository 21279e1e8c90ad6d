-- Live entities by (source name, reference), after a position in that order; each filter bounds the index scan.
SELECT s.name AS source, e.ref, e.fingerprint, e.sequence, e.changed_at, e.body
FROM sources s
CROSS JOIN LATERAL (
    SELECT * FROM entities e
    WHERE e.source_id = s.id
        AND e.ref > CASE WHEN s.name = $4 THEN $5 ELSE '' END
        AND e.ref >= coalesce($3::TEXT, $2::TEXT || ':', '')
        AND e.ref <= coalesce($3::TEXT, $2::TEXT || ';', chr(1114111))
        AND e.change <> 'removed'
    ORDER BY e.ref
    LIMIT $6
) e
WHERE ($1::TEXT IS NULL OR s.name = $1) AND ($4::TEXT IS NULL OR s.name >= $4)
ORDER BY s.name, e.ref
LIMIT $6
