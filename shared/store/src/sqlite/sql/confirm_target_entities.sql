-- These entities are as they should be since ?3, but for those with an error: an attempt that failed meanwhile knows better.
UPDATE target_entities SET synced_at = ?3
WHERE target = ?1 AND reference IN (SELECT value FROM json_each(?2)) AND error IS NULL
