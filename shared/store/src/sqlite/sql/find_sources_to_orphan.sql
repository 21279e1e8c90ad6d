-- Sources that are no longer configured.
SELECT id, name
FROM sources
WHERE state <> 'orphaned' AND name NOT IN (SELECT value FROM json_each(?1))
ORDER BY name
