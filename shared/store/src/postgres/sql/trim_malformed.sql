-- Of a source's malformed items the newest $2 stay.
DELETE FROM malformed WHERE id IN (
    SELECT id FROM malformed WHERE source_id = $1 ORDER BY id DESC OFFSET $2 FOR UPDATE SKIP LOCKED)
