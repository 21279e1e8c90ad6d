-- The pages of this complete cycle were compared with every delta from before it began, unless some could not be read. Deltas
-- that were written since then are kept: they tell what is no drift.
WITH began AS (
    SELECT c.started_at, c.first_sequence FROM cycles c WHERE c.source_id = $1 AND c.number = $2
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.source_id = $1 AND j.kept_in = $2)
), noted AS (
    UPDATE sources s SET deltas_from = b.started_at FROM began b WHERE s.id = $1 AND b.started_at > s.deltas_from
        AND s.deltas
)
DELETE FROM deltas d USING began b WHERE d.source_id = $1 AND d.version IS NULL AND d.read_at < b.started_at
    AND d.sequence <= coalesce(b.first_sequence, d.sequence)
