-- Sources by name; with a name only that one.
SELECT
    s.id, s.name, s.source_type, s.state, s.blocked_reason, s.cycle, s.next_cycle_at, s.requested,
    nullif(s.hold_until, 0), s.entities, s.held_cycle, s.held_reason, s.held_removals, s.held_owned, s.held_at,
    s.approved IS NOT NULL, n.ended_at,
    CASE WHEN s.held_cycle IS NOT NULL THEN
        (SELECT min(h.number) FROM cycles AS h WHERE h.source_id = s.id AND h.ended_at = s.held_at) END
FROM sources AS s
LEFT JOIN cycles AS n ON n.source_id = s.id AND n.number = s.cycle
WHERE ?1 IS NULL OR s.name = ?1
ORDER BY s.name
