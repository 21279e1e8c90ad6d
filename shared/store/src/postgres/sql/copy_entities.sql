-- Copies new entities; fails if one already exists for any reason.
COPY entities (source_id, key_hash, sequence, changed_at, ref, fingerprint, change, body) FROM STDIN (FORMAT binary)
