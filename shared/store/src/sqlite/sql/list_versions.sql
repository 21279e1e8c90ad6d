-- Earlier states of an entity, newest first.
SELECT sequence, changed_at, body FROM entity_versions WHERE source_id = ?1 AND ref = ?2 ORDER BY sequence DESC LIMIT ?3
