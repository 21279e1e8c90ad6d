-- Deletes pages that this cycle did not reach, except those of kept partitions; what they marked counts as missed until
-- some page of this cycle shows it.
WITH gone AS (
    DELETE FROM pages WHERE source_id = $1 AND cycle < $2
        AND partition_id NOT IN (SELECT id FROM jobs WHERE source_id = $1 AND kept_in = $2)
    RETURNING partition_id, key_hashes
)
INSERT INTO misses (source_id, key_hash, partition_id)
SELECT $1, h.key_hash, CASE WHEN min(g.partition_id) = max(g.partition_id) THEN min(g.partition_id) ELSE 0 END
FROM gone g CROSS JOIN LATERAL unnest(g.key_hashes) AS h (key_hash)
GROUP BY h.key_hash
ON CONFLICT (source_id, key_hash) DO UPDATE SET partition_id = 0 WHERE misses.partition_id <> excluded.partition_id
