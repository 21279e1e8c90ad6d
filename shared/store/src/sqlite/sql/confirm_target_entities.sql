-- Records these entities as in sync since ?3, except those with an error: a failed attempt since then takes precedence.
UPDATE target_entities SET synced_at = ?3
WHERE target = ?1 AND reference IN (SELECT value FROM json_each(?2)) AND error IS NULL
