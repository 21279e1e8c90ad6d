-- Deletes all but the newest $2 malformed items of a source.
DELETE FROM malformed WHERE id IN (
    SELECT id FROM malformed WHERE source_id = $1 ORDER BY id DESC OFFSET $2 FOR UPDATE SKIP LOCKED)
