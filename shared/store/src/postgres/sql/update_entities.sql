-- Entities with another fingerprint, and tombstones that live again, get their new state if they are still as they were
-- compared; the count tells. The row is named by its place: the caller holds the row `sequence`, so nobody moves it.
UPDATE entities e SET
    fingerprint = n.fingerprint, body = n.body, sequence = n.sequence, changed_at = $7,
    change = CASE WHEN n.gone THEN 'added' ELSE 'modified' END
FROM (
    SELECT n.*, o.place FROM unnest($2::TEXT[], $3::BYTEA[], $4::TEXT[], $5::BIGINT[], $6::BOOLEAN[])
        AS n (ref, fingerprint, body, sequence, gone)
    CROSS JOIN LATERAL (
        SELECT o.ctid AS place FROM entities o
        WHERE o.source_id = $1 AND o.ref = n.ref AND by_index(o.source_id)
        LIMIT 1
    ) o
) n
WHERE e.ctid = n.place AND (e.change = 'removed') = n.gone AND (n.gone OR e.fingerprint <> n.fingerprint)
    AND by_index(e.source_id)
