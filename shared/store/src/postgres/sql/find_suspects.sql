-- Keys of what an origin made and no reading outside of cycles has seen since $5, or for another origin: on the pages
-- of its partition $2 (those of its item $3, if it is one), noted by deltas as made by it ($4), or named by it ($6; a
-- reading of its whole partition $7 is then no other origin).
WITH made AS MATERIALIZED (
    SELECT h.key_hash
    FROM jobs j
    CROSS JOIN LATERAL (
        SELECT p.key_hashes, p.makers FROM pages p WHERE p.partition_id = j.id OFFSET 0
    ) p
    CROSS JOIN LATERAL unnest(p.key_hashes, p.makers) AS h (key_hash, maker)
    WHERE j.kind = 'ingest' AND j.key = $2 AND j.source_id = $1
        AND h.key_hash IS NOT NULL AND ($3::BIGINT IS NULL OR h.maker = $3)
    UNION
    SELECT d.key_hash FROM deltas d WHERE d.source_id = $1 AND d.origin = $4 AND d.origin IS NOT NULL
    UNION
    SELECT n.key_hash FROM (SELECT $6::BIGINT AS key_hash) n WHERE n.key_hash IS NOT NULL
)
SELECT m.key_hash
FROM made m
WHERE NOT EXISTS (
    SELECT 1 FROM deltas d
    WHERE d.source_id = $1 AND d.key_hash = m.key_hash AND (
        d.read_at >= $5 OR d.origin <> $4
            AND NOT (d.key_hash IS NOT DISTINCT FROM $6 AND d.origin IS NOT DISTINCT FROM $7::BIGINT)
    )
) AND EXISTS (
    -- A complete cycle that began later has compared all there is.
    SELECT 1 FROM sources s WHERE s.id = $1 AND NOT s.forgotten AND s.deltas_from <= $5
)
