-- Updates a source to match the configuration. A fresh cycle is requested if it was an orphan or its identity changed
-- (?5). A blocked source is retried: the operator who restarts a process may have fixed the cause, and a changed secret
-- leaves no trace. A source that others push to has no cycles.
UPDATE sources SET
    source_type = ?2,
    identity = ?3,
    parallel = ?4,
    next_cycle_at = CASE WHEN ?2 <> 'push' THEN next_cycle_at END,
    requested = CASE WHEN ?2 = 'push' THEN NULL WHEN ?5 OR state = 'orphaned' THEN coalesce(requested, 'start') ELSE requested END,
    blocked_reason = NULL,
    state = CASE WHEN state IN ('orphaned', 'blocked') THEN 'active' ELSE state END
WHERE id = ?1
RETURNING cycle
