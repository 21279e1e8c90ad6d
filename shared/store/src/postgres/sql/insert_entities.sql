-- A few new entities; fails if one is there already, however that came. As copy_entities, which is cheaper for many.
INSERT INTO entities (source_id, key_hash, sequence, changed_at, ref, fingerprint, change, body)
SELECT $1, n.key_hash, n.sequence, $6, n.ref, n.fingerprint, 'added', n.body
FROM unnest($2::TEXT[], $3::BYTEA[], $4::TEXT[], $5::BIGINT[], $7::BIGINT[])
    AS n (ref, fingerprint, body, sequence, key_hash)
