-- Sources that the configuration does not name any more.
SELECT id, name FROM sources WHERE state <> 'orphaned' AND NOT (name = ANY ($1::TEXT[])) ORDER BY name
