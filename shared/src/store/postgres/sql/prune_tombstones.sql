-- Up to $2 tombstones from before $1 are gone. One that is being written is left.
DELETE FROM entities d USING (
    SELECT e.source_id, e.ref FROM entities e
    WHERE e.change = 'removed' AND e.changed_at < $1 AND by_index(e.changed_at)
    ORDER BY e.changed_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
) e
WHERE d.source_id = e.source_id AND d.ref = e.ref AND by_index(d.source_id)
