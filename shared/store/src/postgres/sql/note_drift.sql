-- Records what the planned cycle $2 changed or would remove without a delta written since it began; once per cycle, and
-- not for the first one that reached its end. The first hundred differences are kept by name, extra ones first. The odd
-- comparison keeps the plan to the index of sequences: a source may be large, and what changed is little.
WITH began AS MATERIALIZED (
    SELECT c.first_sequence, c.started_at FROM cycles c
    WHERE c.source_id = $1 AND c.number = $2 AND c.state = 'sweeping' AND c.planned AND c.first_sequence IS NOT NULL
        AND EXISTS (SELECT 1 FROM cycles o WHERE o.source_id = $1 AND o.number < $2 AND o.state IN ('complete', 'held'))
), changed AS MATERIALIZED (
    SELECT e.ref, CASE e.change WHEN 'added' THEN 'missing' ELSE 'diverged' END AS drift
    FROM began b JOIN entities e ON e.sequence > b.first_sequence
    WHERE e.source_id IS NOT DISTINCT FROM $1 AND e.change <> 'removed' AND NOT EXISTS (
        SELECT 1 FROM deltas d WHERE d.source_id = $1 AND d.key_hash = e.key_hash
            AND (d.read_at >= b.started_at OR d.sequence > b.first_sequence)
    ) AND NOT EXISTS (
        -- Only a target added something to it.
        SELECT 1 FROM enrichments n
        WHERE n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence AND n.source_sequence <= b.first_sequence)
), extra AS MATERIALIZED (
    SELECT m.ref, 'extra' AS drift FROM misses m
    WHERE m.source_id = $1 AND m.missed >= $3 AND m.last_cycle = $2 AND NOT m.kept AND m.ref IS NOT NULL
), shown AS (
    (SELECT ref, drift FROM extra ORDER BY ref LIMIT 100)
    UNION ALL
    (SELECT ref, drift FROM changed ORDER BY ref LIMIT 100)
    LIMIT 100
)
INSERT INTO drifts (source_id, cycle, found_at, missing, extra, diverged, differences)
SELECT $1, $2, $4,
    (SELECT count(*) FROM changed WHERE drift = 'missing'),
    (SELECT count(*) FROM extra),
    (SELECT count(*) FROM changed WHERE drift = 'diverged'),
    (SELECT coalesce(json_agg(json_build_object('ref', ref, 'drift', drift)), '[]')::TEXT FROM shown)
FROM began
ON CONFLICT (source_id, cycle) DO NOTHING
