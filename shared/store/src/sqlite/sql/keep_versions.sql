-- Keeps the states of these changes, which are about to be replaced.
INSERT OR IGNORE INTO entity_versions (source_id, ref, sequence, changed_at, replaced_at, body)
SELECT c.source_id, c.ref, c.sequence, e.changed_at, ?2, c.body
FROM json_each(?1) AS n
CROSS JOIN changes AS c ON c.sequence = n.value
JOIN entities AS e ON e.source_id = c.source_id AND e.ref = c.ref
WHERE c.body IS NOT NULL AND length(c.body) <= ?3
