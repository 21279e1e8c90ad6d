-- Compares entities with the catalog: returns the positions of those that are live and equal, live and different, and
-- tombstones; the others are new. One index probe each, whatever the statistics say.
SELECT
    array_agg(n.place) FILTER (WHERE e.live AND e.fingerprint = n.fingerprint) AS equal,
    array_agg(n.place) FILTER (WHERE e.live AND e.fingerprint <> n.fingerprint) AS different,
    array_agg(n.place) FILTER (WHERE NOT e.live) AS gone
FROM unnest($2::TEXT[], $3::BYTEA[]) WITH ORDINALITY AS n (ref, fingerprint, place)
CROSS JOIN LATERAL (
    SELECT e.fingerprint, e.change <> 'removed' AS live FROM entities e
    WHERE e.source_id = $1 AND e.ref = n.ref
    LIMIT 1
) e
