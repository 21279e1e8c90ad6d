-- Stores malformed items, to be shown to people.
INSERT INTO malformed (source_id, cycle, partition, page, ref, error, sample, seen_at)
SELECT $1, $2, $3, n.page, n.ref, n.error, n.sample, $4
FROM unnest($5::INTEGER[], $6::TEXT[], $7::TEXT[], $8::TEXT[]) AS n (page, ref, error, sample)
