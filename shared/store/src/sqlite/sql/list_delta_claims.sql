-- Which of these keys (?2) were seen by a reading that did not begin before ?4, or by one of another origin than ?3. Of
-- the key that the origin names (?5), a reading of its whole partition (?6) is not another origin.
SELECT key_hash FROM deltas
WHERE source_id = ?1 AND key_hash IN (SELECT value FROM json_each(?2))
    AND (read_at >= ?4 OR (origin <> ?3 AND NOT (key_hash IS ?5 AND origin IS ?6)))
