-- What the decision on a source command is based on.
SELECT s.id, s.state, s.cycle, s.held_cycle, c.state AS held_state, s.held_removals,
    s.source_type = 'push' AS pushed
FROM sources s
LEFT JOIN cycles c ON c.source_id = s.id AND c.number = s.held_cycle
WHERE s.name = $1 AND NOT s.forgotten
