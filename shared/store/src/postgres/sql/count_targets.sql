-- How much each target has.
SELECT t.name,
    (SELECT count(*) FROM target_entities AS e WHERE e.target = t.name) AS entities,
    (SELECT count(*) FROM target_entities AS e WHERE e.target = t.name AND e.error IS NOT NULL) AS failing,
    (SELECT count(*) FROM target_objects AS o WHERE o.target = t.name) AS objects
FROM targets AS t
ORDER BY t.name
