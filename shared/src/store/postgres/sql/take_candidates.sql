-- Up to $3 misses that are to be swept are taken out of the list; their entities are returned.
DELETE FROM misses m USING (
    SELECT x.key_hash FROM misses x
    WHERE x.source_id = $1 AND x.missed >= $2 AND NOT x.kept AND x.ref IS NOT NULL
    ORDER BY x.key_hash
    LIMIT $3
) x
WHERE m.source_id = $1 AND m.key_hash = x.key_hash
RETURNING m.ref
