-- Jobs of a kind whose args contain a text, by number: found by the index of kinds and keys.
SELECT
    j.id, j.kind, j.key, j.state, CASE WHEN j.state = 'waiting' AND j.due_at < 4611686018427387904 THEN j.due_at END, j.attempt, j.rung, j.token, j.worker,
    w.alive_until, j.last_error, j.trigger, j.args, j.cursor, j.progress, j.trace, s.name, j.cycle, j.created_at,
    j.updated_at
FROM jobs AS j
LEFT JOIN workers AS w ON w.worker = j.worker
LEFT JOIN sources AS s ON s.id = j.source_id
WHERE j.kind = ?1 AND instr(j.args, ?2) > 0
ORDER BY j.id
LIMIT ?3
