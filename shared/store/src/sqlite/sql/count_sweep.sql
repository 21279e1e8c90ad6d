-- What a sweep would do: owned, marked, candidates, approved; what it keeps (pages that this cycle did not reach are
-- those of kept partitions); what waits for another cycle without it; what cycles added since candidates were last
-- seen, which is after the complete cycle before those that missed them, or since a sweep of them was held.
SELECT
    s.entities,
    (SELECT coalesce(sum(p.entities), 0) FROM pages AS p INDEXED BY pages_source WHERE p.source_id = ?1 AND p.cycle = ?2),
    (SELECT count(*) FROM misses AS m WHERE m.source_id = ?1 AND m.missed >= ?3 AND m.last_cycle = ?2 AND m.kept = 0),
    s.approved,
    (SELECT coalesce(sum(p.entities), 0) FROM pages AS p INDEXED BY pages_source WHERE p.source_id = ?1 AND p.cycle < ?2)
        + (SELECT count(*) FROM misses AS m WHERE m.source_id = ?1 AND m.last_cycle < ?2),
    (SELECT count(*) FROM misses AS m WHERE m.source_id = ?1 AND m.missed >= 1 AND m.missed < ?3 AND m.last_cycle = ?2 AND m.kept = 0),
    (SELECT count(*) FROM collisions AS c WHERE c.source_id = ?1 AND c.places > 1),
    max((SELECT coalesce(sum(json_extract(c.totals, '$.added')), 0) FROM cycles AS c
        WHERE c.source_id = ?1 AND c.number <= ?2 AND c.number > coalesce((
            SELECT b.number FROM cycles AS b WHERE b.source_id = ?1 AND b.number < ?2 AND b.state = 'complete'
            ORDER BY b.number DESC LIMIT 1 OFFSET ?3 - 1), 0)),
        coalesce(s.entities - s.held_owned, 0))
FROM sources AS s
WHERE s.id = ?1
