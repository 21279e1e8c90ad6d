-- Finds the references of collisions: one scan of the index of the source's entities, or none if all are known.
WITH wanted AS MATERIALIZED (
    SELECT key_hash FROM collisions WHERE source_id = $1 AND ref IS NULL
), found AS MATERIALIZED (
    SELECT e.ref, e.key_hash FROM entities e
    JOIN wanted w ON w.key_hash = e.key_hash
    WHERE e.source_id = $1 AND EXISTS (SELECT 1 FROM wanted)
)
UPDATE collisions c SET ref = f.ref
FROM found f
WHERE c.source_id = $1 AND c.key_hash = f.key_hash
