-- Ends a cycle, or moves it on to sweeping. The totals are those at the end of bursting.
UPDATE cycles SET
    state = ?3,
    reason = ?4,
    totals = coalesce(totals, ?5),
    ended_at = CASE WHEN ?3 <> 'sweeping' THEN ?6 END
WHERE source_id = ?1 AND number = ?2
