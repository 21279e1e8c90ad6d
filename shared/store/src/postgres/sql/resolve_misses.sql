-- Finds the live entities of misses: one scan of the index of the source's entities, which holds their hashes,
-- regardless of the number of misses; no scan if there are none.
WITH wanted AS MATERIALIZED (
    SELECT m.key_hash FROM misses m WHERE m.source_id = $1 AND m.ref IS NULL
), found AS MATERIALIZED (
    SELECT e.ref, e.key_hash FROM entities e
    JOIN wanted w ON w.key_hash = e.key_hash
    WHERE e.source_id = $1 AND EXISTS (SELECT 1 FROM wanted)
), live AS MATERIALIZED (
    SELECT f.ref, f.key_hash FROM found f
    CROSS JOIN LATERAL (
        SELECT 1 FROM entities e
        WHERE e.source_id = $1 AND e.ref = f.ref AND e.change <> 'removed'
        LIMIT 1
    ) l
)
UPDATE misses m SET ref = l.ref
FROM live l
WHERE m.source_id = $1 AND m.key_hash = l.key_hash
