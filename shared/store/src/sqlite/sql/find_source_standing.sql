-- What the decision on a source command is based on.
SELECT s.id, s.state, s.cycle, s.held_cycle, c.state, s.held_removals,
    s.source_type = 'push'
FROM sources AS s
LEFT JOIN cycles AS c ON c.source_id = s.id AND c.number = s.held_cycle
WHERE s.name = ?1
