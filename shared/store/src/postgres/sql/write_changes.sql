-- Writes changes. New entities are numbered from $11 on; it fails if one already exists for any reason (copy_entities
-- is cheaper for many). Those with another fingerprint, and tombstones that come back to life, follow; they are updated
-- if they are still as they were when compared; the count tells. States of up to $13 bytes are kept when they are
-- replaced. The caller holds the row `sequence`, so no other transaction moves a row that was found.
WITH added AS (
    INSERT INTO entities (source_id, key_hash, sequence, changed_at, ref, fingerprint, change, body)
    SELECT $1, n.key_hash, $11 + n.place - 1, $12, n.ref, n.fingerprint, 'added', n.body
    FROM unnest($2::TEXT[], $3::BYTEA[], $4::TEXT[], $5::BIGINT[]) WITH ORDINALITY
        AS n (ref, fingerprint, body, key_hash, place)
), kept AS (
    INSERT INTO entity_versions (source_id, sequence, changed_at, replaced_at, ref, body)
    SELECT e.source_id, e.sequence, e.changed_at, $12, e.ref, e.body
    FROM unnest($6::TEXT[]) AS n (ref)
    CROSS JOIN LATERAL (
        SELECT * FROM entities e WHERE e.source_id = $1 AND e.ref = n.ref LIMIT 1
    ) e
    WHERE e.change <> 'removed' AND octet_length(e.body) <= $13
    ON CONFLICT DO NOTHING
), updated AS (
    UPDATE entities e SET
        fingerprint = n.fingerprint, body = n.body, sequence = $10 + n.place - 1, changed_at = $12,
        change = CASE WHEN n.gone THEN 'added' ELSE 'modified' END
    FROM (
        SELECT n.*, o.row FROM unnest($6::TEXT[], $7::BYTEA[], $8::TEXT[], $9::BOOLEAN[]) WITH ORDINALITY
            AS n (ref, fingerprint, body, gone, place)
        CROSS JOIN LATERAL (
            SELECT o.ctid AS row FROM entities o
            WHERE o.source_id = $1 AND o.ref = n.ref
            LIMIT 1
        ) o
    ) n
    WHERE e.ctid = n.row AND (e.change = 'removed') = n.gone AND (n.gone OR e.fingerprint <> n.fingerprint)
    RETURNING 1
)
SELECT count(*) AS updated FROM updated
