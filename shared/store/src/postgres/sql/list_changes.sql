-- The change feed after a place: the newest state of each entity, in commit order, until the bodies reach $3 bytes. Each
-- row also has the end of the feed and the position up to which tombstones are pruned, in the same snapshot; without
-- changes, there is one row with only these.
SELECT b.last, b.pruned_to, c.sequence, c.change, c.source, c.ref, c.changed_at, c.body
FROM (
    SELECT max(n.value) FILTER (WHERE n.name = 'sequence') AS last, max(n.value) FILTER (WHERE n.name = 'pruned') AS pruned_to
    FROM counters n WHERE n.name IN ('sequence', 'pruned')
) b
LEFT JOIN (
    SELECT e.sequence, e.change, s.name AS source, e.ref, e.changed_at, e.body
    FROM (
        SELECT *, sum(octet_length(e.body)) OVER (ORDER BY e.sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM (
            SELECT * FROM entities e WHERE e.sequence > $1 ORDER BY e.sequence LIMIT $2
        ) e
    ) e
    JOIN sources s ON s.id = e.source_id
    WHERE coalesce(e.before, 0) < $3
) c ON true
ORDER BY c.sequence
