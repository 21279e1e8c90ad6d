-- Turns the live entities among these into tombstones, numbered without gaps; returns how many. The caller holds the
-- row `sequence`.
WITH doomed AS MATERIALIZED (
    SELECT o.place, row_number() OVER (ORDER BY n.ref COLLATE "C") AS number
    FROM unnest($2::TEXT[]) AS n (ref)
    CROSS JOIN LATERAL (
        SELECT o.ctid AS place FROM entities o
        WHERE o.source_id = $1 AND o.ref = n.ref AND o.change <> 'removed'
        LIMIT 1
    ) o
), removed AS (
    UPDATE entities e SET change = 'removed', body = NULL, changed_at = $3, sequence = s.value + d.number
    FROM doomed d, (SELECT value FROM counters WHERE name = 'sequence') s
    WHERE e.ctid = d.place
    RETURNING 1
), numbered AS (
    UPDATE counters SET value = value + (SELECT count(*) FROM removed) WHERE name = 'sequence'
), owned AS (
    UPDATE counters SET value = value - (SELECT count(*) FROM removed) WHERE name = 'entities/' || $1::BIGINT
)
SELECT count(*) AS removed FROM removed
