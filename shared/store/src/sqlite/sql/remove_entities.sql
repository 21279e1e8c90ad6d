-- Makes tombstones, with sequences in the order of the list.
INSERT INTO entities (source_id, ref, key_hash, fingerprint, sequence, change, changed_at)
SELECT e.source_id, e.ref, e.key_hash, e.fingerprint, ?3 + d.key, 'removed', ?4
FROM json_each(?2) AS d
CROSS JOIN entities AS e ON e.source_id = ?1 AND e.ref = d.value
WHERE true
ON CONFLICT (source_id, ref) DO UPDATE SET
    sequence = excluded.sequence, change = excluded.change, changed_at = excluded.changed_at
