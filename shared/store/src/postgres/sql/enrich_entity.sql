-- Changes the body that readers of an entity see, as its newest change; does nothing if it was written since $3.
WITH shown AS (
    UPDATE entities e SET body = $4, sequence = $5, change = 'modified', changed_at = $6
    WHERE e.source_id = $1 AND e.ref = $2 AND e.sequence = $3 AND e.change <> 'removed'
    RETURNING e.source_id, e.ref
)
INSERT INTO enrichments (ref, source_id, sequence, source_sequence, original, additions)
SELECT s.ref, s.source_id, $5, $7, $8, $9 FROM shown s
ON CONFLICT (ref, source_id) DO UPDATE SET
    sequence = excluded.sequence, source_sequence = excluded.source_sequence, original = excluded.original,
    additions = excluded.additions
