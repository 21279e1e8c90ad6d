-- Moves the next check of a source from ?2 to ?3; does nothing if it is not at ?2.
INSERT INTO checks (source_id, next_at)
SELECT ?1, ?3 WHERE ?2 IS NULL OR EXISTS (SELECT 1 FROM checks WHERE source_id = ?1)
ON CONFLICT (source_id) DO UPDATE SET next_at = excluded.next_at WHERE checks.next_at = ?2
