-- Some live entities of a source.
SELECT e.ref FROM entities e WHERE e.source_id = $1 AND e.change <> 'removed' LIMIT $2
