-- Keeps the newest ?2 malformed items of a source.
DELETE FROM malformed
WHERE source_id = ?1
  AND id <= (SELECT id FROM malformed WHERE source_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
