-- Which of these entities of a source are live. One index probe each.
SELECT n.ref FROM unnest($2::TEXT[]) AS n (ref)
CROSS JOIN LATERAL (
    SELECT 1 FROM entities e
    WHERE e.source_id = $1 AND e.ref = n.ref AND e.change <> 'removed' AND by_index(e.source_id)
    LIMIT 1
) e
