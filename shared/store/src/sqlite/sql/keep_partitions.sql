-- The partitions whose entities this cycle's sweep keeps: those that failed or had an item without a name, and those
-- below them that were not revealed. One whose parent is uncertain counts as below each candidate.
WITH RECURSIVE failed AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE source_id = ?1 AND cycle = ?2 AND (state <> 'done' OR progress ->> 'unidentified' > 0)
), unrevealed AS MATERIALIZED (
    SELECT id, coalesce(parent_id, 0) AS parent_id FROM jobs
    WHERE source_id = ?1 AND cycle < ?2 AND EXISTS (SELECT 1 FROM failed)
), kept (id) AS (
    SELECT id FROM failed
    UNION
    SELECT u.id FROM kept AS k JOIN unrevealed AS u ON u.parent_id = k.id OR u.parent_id = 0
)
UPDATE jobs SET kept_in = ?2 WHERE id IN (SELECT id FROM kept)
