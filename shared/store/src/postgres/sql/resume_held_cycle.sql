-- Moves a held cycle back to sweeping, and keeps the source from starting another one meanwhile.
WITH resumed AS (
    UPDATE cycles SET state = 'sweeping', ended_at = NULL
    WHERE source_id = $1 AND number = $2 AND state = 'held' RETURNING source_id
)
UPDATE sources s SET next_cycle_at = NULL FROM resumed r WHERE s.id = r.source_id
