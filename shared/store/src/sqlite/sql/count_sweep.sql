-- What a sweep would do: owned, marked, candidates, approved.
SELECT
    s.entities,
    (SELECT coalesce(sum(p.entities), 0) FROM pages AS p INDEXED BY pages_source WHERE p.source_id = ?1 AND p.cycle = ?2),
    (SELECT count(*) FROM misses AS m WHERE m.source_id = ?1 AND m.missed >= ?3 AND m.kept = 0),
    s.approved
FROM sources AS s
WHERE s.id = ?1
