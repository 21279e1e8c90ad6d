-- What a sweep would do: owned, marked, candidates, approved.
SELECT
    coalesce((SELECT c.value FROM counters c WHERE c.name = 'entities/' || s.id), 0)::BIGINT AS owned,
    (SELECT coalesce(sum(p.entities), 0)::BIGINT FROM pages p WHERE p.source_id = $1 AND p.cycle = $2) AS marked,
    (SELECT count(*) FROM misses m WHERE m.source_id = $1 AND m.missed >= $3 AND NOT m.kept AND m.ref IS NOT NULL)
        AS candidates,
    s.approved
FROM sources s
WHERE s.id = $1
