-- Removes up to $3 misses that cycle $4 is to sweep, a range of hashes at a time, and returns their entities.
DELETE FROM misses m
WHERE m.source_id = $1 AND m.missed >= $2 AND m.last_cycle = $4 AND NOT m.kept AND m.ref IS NOT NULL AND m.key_hash <= (
    SELECT max(x.key_hash) FROM (
        SELECT c.key_hash FROM misses c
        WHERE c.source_id = $1 AND c.missed >= $2 AND c.last_cycle = $4 AND NOT c.kept AND c.ref IS NOT NULL
        ORDER BY c.key_hash
        LIMIT $3
    ) x
)
RETURNING m.ref
