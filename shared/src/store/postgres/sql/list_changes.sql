-- The change feed after a place: the newest state of each entity, in commit order.
SELECT e.sequence, e.change, s.name AS source, e.ref, e.changed_at, e.body
FROM (
    SELECT * FROM entities e WHERE e.sequence > $1 AND by_index(e.sequence) ORDER BY e.sequence LIMIT $2
) e
JOIN sources s ON s.id = e.source_id
ORDER BY e.sequence
