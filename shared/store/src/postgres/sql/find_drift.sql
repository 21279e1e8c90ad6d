-- How much drift a cycle found.
SELECT missing, extra, diverged FROM drifts WHERE source_id = $1 AND cycle = $2
