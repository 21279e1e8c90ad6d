-- Sources that are no longer configured.
SELECT id, name FROM sources WHERE state <> 'orphaned' AND NOT (name = ANY ($1::TEXT[])) ORDER BY name
