-- Removes and returns dead letters, one or up to a thousand.
DELETE FROM dead_letters
WHERE subscription = ?1 AND sequence IN (
    SELECT sequence FROM dead_letters WHERE subscription = ?1 AND (?2 IS NULL OR sequence = ?2) ORDER BY sequence LIMIT 1000)
RETURNING sequence, key
