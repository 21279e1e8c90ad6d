-- Finds the live entities of misses that are about to be swept: one walk through the index of the source's entities, which
-- holds their hashes, however many misses there are; none if there is nothing to find.
WITH found AS MATERIALIZED (
    SELECT e.ref, e.key_hash FROM entities e
    JOIN misses m ON m.source_id = $1 AND m.key_hash = e.key_hash AND m.ref IS NULL AND m.missed >= $2
    WHERE e.source_id = $1
        AND EXISTS (SELECT 1 FROM misses x WHERE x.source_id = $1 AND x.ref IS NULL AND x.missed >= $2)
)
UPDATE misses m SET ref = f.ref
FROM found f
WHERE m.source_id = $1 AND m.key_hash = f.key_hash AND EXISTS (
    SELECT 1 FROM entities e
    WHERE e.source_id = $1 AND e.ref = f.ref AND e.change <> 'removed' AND by_index(e.source_id))
