-- Keeps the states that are about to be replaced. The caller holds the row `sequence`, so nobody moves them.
INSERT INTO entity_versions (source_id, sequence, changed_at, replaced_at, ref, body)
SELECT e.source_id, e.sequence, e.changed_at, $3, e.ref, e.body
FROM unnest($2::TEXT[]) AS n (ref)
CROSS JOIN LATERAL (
    SELECT * FROM entities e WHERE e.source_id = $1 AND e.ref = n.ref AND by_index(e.source_id) LIMIT 1
) e
WHERE e.change <> 'removed' AND octet_length(e.body) <= $4
ON CONFLICT DO NOTHING
