-- Live entities of these references, one for each source that owns it.
SELECT s.name AS source, e.ref, e.fingerprint, e.sequence, e.changed_at, e.body
FROM unnest($1::TEXT[]) AS n (ref)
CROSS JOIN sources s
CROSS JOIN LATERAL (
    SELECT * FROM entities e WHERE e.source_id = s.id AND e.ref = n.ref AND e.change <> 'removed' LIMIT 1
) e
ORDER BY s.name, e.ref
