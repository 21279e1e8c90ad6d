-- Allocates $1 sequence numbers and returns the last one; the row stays locked until the commit, so numbers are in
-- commit order and a rollback leaves no gap. Adjusts the source's number of live entities by $3.
WITH taken AS (
    UPDATE counters SET value = value + $1 WHERE name = 'sequence' RETURNING value
), live AS (
    INSERT INTO counters AS c (name, value)
    SELECT 'entities/' || $2::BIGINT, $3 FROM taken WHERE $3::BIGINT <> 0
    ON CONFLICT (name) DO UPDATE SET value = c.value + excluded.value
)
SELECT value FROM taken
