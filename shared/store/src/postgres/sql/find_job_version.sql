-- What the version of a job is made of, and whether it is a partition; the row is this transaction's.
SELECT state, token, updated_at, source_id IS NOT NULL AS partition FROM jobs WHERE id = $1 FOR UPDATE
