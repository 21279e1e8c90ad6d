-- Pages that this cycle did not reach are forgotten; what they marked is missed until some page of this cycle shows it.
WITH gone AS (
    DELETE FROM pages WHERE source_id = $1 AND cycle < $2 RETURNING key_hashes
)
INSERT INTO misses (source_id, key_hash)
SELECT DISTINCT $1, h.key_hash FROM gone g CROSS JOIN LATERAL unnest(g.key_hashes) AS h (key_hash)
ON CONFLICT (source_id, key_hash) DO NOTHING
