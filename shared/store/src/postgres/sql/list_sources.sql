-- Sources by name; with a name only that one.
SELECT s.id, s.name, s.source_type, s.state, s.blocked_reason, s.cycle, s.next_cycle_at, s.requested,
    nullif(s.hold_until, 0) AS hold_until, coalesce(c.value, 0) AS entities,
    s.held_cycle, s.held_reason, s.held_removals, s.held_owned, s.held_at, s.approved IS NOT NULL AS approved,
    n.ended_at AS cycle_ended_at,
    CASE WHEN s.held_cycle IS NOT NULL THEN
        (SELECT min(h.number) FROM cycles h WHERE h.source_id = s.id AND h.ended_at = s.held_at) END AS held_since_cycle
FROM sources s
LEFT JOIN cycles n ON n.source_id = s.id AND n.number = s.cycle
LEFT JOIN counters c ON c.name = 'entities/' || s.id
WHERE NOT s.forgotten AND ($1::TEXT IS NULL OR s.name = $1)
ORDER BY s.name
