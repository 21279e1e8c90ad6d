-- Sources by name; with a name only that one.
SELECT
    s.id, s.name, s.source_type, s.state, s.blocked_reason, s.cycle, s.next_cycle_at, s.requested,
    nullif(s.hold_until, 0), s.entities, s.held_cycle, s.held_reason, s.held_removals, s.held_owned, s.held_at,
    s.approved IS NOT NULL, n.ended_at
FROM sources AS s
LEFT JOIN cycles AS n ON n.source_id = s.id AND n.number = s.cycle
WHERE ?1 IS NULL OR s.name = ?1
ORDER BY s.name
