-- What the version of a job is computed from, and whether it is a partition; locks the row.
SELECT state, token, updated_at, source_id IS NOT NULL AS partition FROM jobs WHERE id = $1 FOR UPDATE
