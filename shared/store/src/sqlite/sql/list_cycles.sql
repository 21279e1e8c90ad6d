-- Cycles of a source, the newest first.
SELECT number, state, trigger, started_at, ended_at, reason, totals, removed, kept, unconfirmed, collisions
FROM cycles
WHERE source_id = ?1
ORDER BY number DESC
LIMIT ?2
