-- Deltas of these keys: hash, start of the reading, version.
SELECT key_hash, read_at, version FROM deltas
WHERE source_id = ?1 AND key_hash IN (SELECT value FROM json_each(?2))
