-- New entities; fails if one is there already, however that came.
COPY entities (source_id, key_hash, sequence, changed_at, ref, fingerprint, change, body) FROM STDIN (FORMAT binary)
