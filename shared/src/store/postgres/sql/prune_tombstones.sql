-- Up to $2 tombstones from before $1 are gone. One that is being written is left.
DELETE FROM entities WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM entities e
    WHERE e.change = 'removed' AND e.changed_at < $1
    ORDER BY e.changed_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
