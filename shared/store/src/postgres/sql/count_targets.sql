-- What each target has, each counted up to 100,000.
SELECT t.name,
    (SELECT count(*) FROM (SELECT 1 FROM target_entities AS e WHERE e.target = t.name LIMIT 100000) AS x) AS entities,
    (SELECT count(*) FROM (SELECT 1 FROM target_entities AS e WHERE e.target = t.name AND e.error IS NOT NULL LIMIT 100000) AS x) AS failing,
    (SELECT count(*) FROM (SELECT 1 FROM target_objects AS o WHERE o.target = t.name LIMIT 100000) AS x) AS objects
FROM targets AS t
ORDER BY t.name
