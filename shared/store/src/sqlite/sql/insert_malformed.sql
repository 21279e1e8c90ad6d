-- Keeps a malformed item for people to see.
INSERT INTO malformed (source_id, cycle, partition, page, ref, error, sample, seen_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
