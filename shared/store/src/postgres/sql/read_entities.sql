-- Those of these references of a source that are live, in order; if texts are given, only those whose body contains one
-- of them.
SELECT s.name AS source, e.ref, e.fingerprint, e.sequence, e.changed_at, e.body
FROM unnest($2::TEXT[]) AS n (ref)
CROSS JOIN LATERAL (
    SELECT * FROM entities e
    WHERE e.source_id = $1 AND e.ref = n.ref AND e.change <> 'removed'
) e
JOIN sources s ON s.id = e.source_id
WHERE cardinality($3::TEXT[]) = 0 OR EXISTS (SELECT FROM unnest($3::TEXT[]) AS t (text) WHERE strpos(e.body, t.text) > 0)
ORDER BY e.ref
LIMIT $4
