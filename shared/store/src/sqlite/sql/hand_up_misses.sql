-- Entities of partitions that this cycle no longer has are recorded as misses of the partitions that had revealed them.
-- If a new partition of this cycle failed, it may be one of them under another name: then no partition is known to have
-- dropped it.
WITH RECURSIVE gone AS MATERIALIZED (
    SELECT id, coalesce(parent_id, 0) AS parent_id FROM jobs
    WHERE source_id = ?1 AND cycle < ?2 AND state <> 'running' AND (kept_in IS NULL OR kept_in <> ?2)
), heirs (id, heir) AS (
    SELECT id, parent_id FROM gone
    UNION
    SELECT h.id, g.parent_id FROM heirs AS h JOIN gone AS g ON g.id = h.heir
), suspects AS MATERIALIZED (
    SELECT 1 FROM jobs AS j JOIN cycles AS c ON c.source_id = ?1 AND c.number = ?2
    WHERE j.source_id = ?1 AND j.cycle = ?2 AND j.kept_in = ?2 AND j.created_at >= c.started_at
)
UPDATE misses AS m SET partition_id = CASE WHEN EXISTS (SELECT 1 FROM suspects) THEN 0 ELSE h.heir END
FROM heirs AS h
WHERE m.source_id = ?1 AND m.partition_id = h.id AND h.heir NOT IN (SELECT id FROM gone)
