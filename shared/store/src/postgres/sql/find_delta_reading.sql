-- When the reading behind an entity's delta began, until a complete cycle has compared it.
SELECT d.read_at FROM entities e JOIN deltas d ON d.source_id = e.source_id AND d.key_hash = e.key_hash
WHERE e.source_id = $1 AND e.ref = $2
