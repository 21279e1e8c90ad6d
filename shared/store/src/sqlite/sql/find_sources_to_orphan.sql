-- Sources that the configuration does not name any more.
SELECT id, name
FROM sources
WHERE state <> 'orphaned' AND name NOT IN (SELECT value FROM json_each(?1))
ORDER BY name
