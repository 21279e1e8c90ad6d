-- The pages of this complete cycle were compared with every delta from before it began, unless some could not be read. Deltas
-- that were written since then are kept: they tell what is no drift.
UPDATE sources SET deltas_from = c.started_at
FROM cycles AS c
WHERE sources.id = ?1 AND c.source_id = ?1 AND c.number = ?2 AND c.started_at > sources.deltas_from
    AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.source_id = ?1 AND j.kept_in = ?2);
DELETE FROM deltas WHERE source_id = ?1 AND version IS NULL
    AND read_at < (SELECT c.started_at FROM cycles AS c WHERE c.source_id = ?1 AND c.number = ?2)
    AND sequence <= (SELECT coalesce(c.first_sequence, sequence) FROM cycles AS c WHERE c.source_id = ?1 AND c.number = ?2)
    AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.source_id = ?1 AND j.kept_in = ?2)
