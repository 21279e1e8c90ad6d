-- Deletes up to $2 tombstones from before $1 and records the greatest of their sequence numbers. One that is being
-- written is skipped. Returns how many.
WITH pruned AS (
    DELETE FROM entities d USING (
        SELECT e.source_id, e.ref FROM entities e
        WHERE e.change = 'removed' AND e.changed_at < $1
        ORDER BY e.changed_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) e
    WHERE d.source_id = e.source_id AND d.ref = e.ref
    RETURNING d.sequence
), noted AS (
    UPDATE counters n SET value = p.greatest
    FROM (SELECT max(sequence) AS greatest FROM pruned) p
    WHERE n.name = 'pruned' AND n.value < p.greatest
)
SELECT count(*) AS pruned FROM pruned
