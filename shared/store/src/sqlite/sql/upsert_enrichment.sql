-- Keeps what is added to an entity for its readers, and what its source gave.
INSERT INTO enrichments (ref, source_id, sequence, source_sequence, original, additions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (ref, source_id) DO UPDATE SET
    sequence = excluded.sequence, source_sequence = excluded.source_sequence, original = excluded.original,
    additions = excluded.additions
