-- Makes a source that of the configuration. A fresh cycle is asked for if it was an orphan or its identity changed (?5),
-- which also unblocks it. A source that others push to has no cycles.
UPDATE sources SET
    source_type = ?2,
    identity = ?3,
    parallel = ?4,
    next_cycle_at = CASE WHEN ?2 <> 'push' THEN next_cycle_at END,
    requested = CASE WHEN ?2 = 'push' THEN NULL WHEN ?5 OR state = 'orphaned' THEN coalesce(requested, 'start') ELSE requested END,
    blocked_reason = CASE WHEN ?5 OR state = 'orphaned' THEN NULL ELSE blocked_reason END,
    state = CASE WHEN state = 'orphaned' OR (?5 AND state = 'blocked') THEN 'active' ELSE state END
WHERE id = ?1
RETURNING cycle
