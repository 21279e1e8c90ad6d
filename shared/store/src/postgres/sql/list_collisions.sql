-- References that occur in several places of a source, with the place that wins.
SELECT c.ref, c.places, j.key AS partition, c.page
FROM collisions AS c
JOIN jobs AS j ON j.id = c.partition_id
WHERE c.source_id = $1 AND c.places > 1 AND c.ref IS NOT NULL
ORDER BY c.ref
LIMIT $2
