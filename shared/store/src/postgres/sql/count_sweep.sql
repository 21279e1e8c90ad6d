-- What a sweep would do: owned, marked, candidates, approved; what it keeps (pages that this cycle did not reach are
-- those of kept partitions); what waits for another cycle without it; what cycles added since candidates were last
-- seen, which is after the complete cycle before those that missed them, or since a sweep of them was held.
SELECT
    coalesce((SELECT c.value FROM counters c WHERE c.name = 'entities/' || s.id), 0)::BIGINT AS owned,
    (SELECT coalesce(sum(p.entities), 0)::BIGINT FROM pages p WHERE p.source_id = $1 AND p.cycle = $2) AS marked,
    (SELECT count(*) FROM misses m WHERE m.source_id = $1 AND m.missed >= $3 AND m.last_cycle = $2 AND NOT m.kept) AS candidates,
    s.approved,
    (SELECT coalesce(sum(p.entities), 0)::BIGINT FROM pages p WHERE p.source_id = $1 AND p.cycle < $2)
        + (SELECT count(*) FROM misses m WHERE m.source_id = $1 AND m.last_cycle < $2) AS kept,
    (SELECT count(*) FROM misses m WHERE m.source_id = $1 AND m.missed >= 1 AND m.missed < $3 AND m.last_cycle = $2
        AND NOT m.kept) AS unconfirmed,
    (SELECT count(*) FROM collisions c WHERE c.source_id = $1 AND c.places > 1) AS collisions,
    greatest((SELECT coalesce(sum((c.totals::JSON ->> 'added')::BIGINT), 0)::BIGINT FROM cycles c
        WHERE c.source_id = $1 AND c.number <= $2 AND c.number > coalesce((
            SELECT b.number FROM cycles b WHERE b.source_id = $1 AND b.number < $2 AND b.state = 'complete'
            ORDER BY b.number DESC OFFSET $3 - 1 LIMIT 1), 0)),
        (SELECT c.value - s.held_owned FROM counters c WHERE c.name = 'entities/' || s.id), 0) AS fresh
FROM sources s
WHERE s.id = $1
