-- An entity's hash, and when the reading behind its delta began, until a complete cycle has compared it.
SELECT e.key_hash, d.read_at
FROM entities AS e LEFT JOIN deltas AS d ON d.source_id = e.source_id AND d.key_hash = e.key_hash
WHERE e.source_id = ?1 AND e.ref = ?2
