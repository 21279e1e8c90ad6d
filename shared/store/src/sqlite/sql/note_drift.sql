-- Records what the planned cycle ?2 changed or would remove without a delta written since it began; once per cycle, and
-- not for the first one that reached its end. The first hundred differences are kept by name, extra ones first.
WITH changed AS MATERIALIZED (
    SELECT e.ref, CASE e.change WHEN 'added' THEN 'missing' ELSE 'diverged' END AS drift
    FROM cycles AS c
    CROSS JOIN changes AS f ON f.sequence > c.first_sequence AND f.source_id = c.source_id
    CROSS JOIN entities AS e ON e.source_id = f.source_id AND e.ref = f.ref AND e.sequence = f.sequence
    WHERE c.source_id = ?1 AND c.number = ?2 AND e.change <> 'removed' AND NOT EXISTS (
        SELECT 1 FROM deltas AS d WHERE d.source_id = ?1 AND d.key_hash = e.key_hash
            AND (d.read_at >= c.started_at OR d.sequence > c.first_sequence)
    ) AND NOT EXISTS (
        -- Only a target added something to it.
        SELECT 1 FROM enrichments AS n
        WHERE n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence AND n.source_sequence <= c.first_sequence)
), extra AS MATERIALIZED (
    SELECT e.ref, 'extra' AS drift
    FROM misses AS m
    CROSS JOIN entities AS e ON e.source_id = m.source_id AND e.ref = m.ref
    WHERE m.source_id = ?1 AND m.missed >= ?3 AND m.last_cycle = ?2 AND m.kept = 0 AND e.change <> 'removed'
), shown AS (
    SELECT * FROM (SELECT ref, drift FROM extra ORDER BY ref LIMIT 100)
    UNION ALL
    SELECT * FROM (SELECT ref, drift FROM changed ORDER BY ref LIMIT 100)
    LIMIT 100
)
INSERT INTO drifts (source_id, cycle, found_at, missing, extra, diverged, differences)
SELECT c.source_id, c.number, ?4,
    (SELECT count(*) FROM changed WHERE drift = 'missing'),
    (SELECT count(*) FROM extra),
    (SELECT count(*) FROM changed WHERE drift = 'diverged'),
    (SELECT json_group_array(json_object('ref', ref, 'drift', drift)) FROM shown)
FROM cycles AS c
WHERE c.source_id = ?1 AND c.number = ?2 AND c.state = 'sweeping' AND c.planned = 1 AND c.first_sequence IS NOT NULL
    AND EXISTS (SELECT 1 FROM cycles AS o WHERE o.source_id = ?1 AND o.number < ?2 AND o.state IN ('complete', 'held'))
ON CONFLICT (source_id, cycle) DO NOTHING
