-- What the version of a job is computed from, and whether it is a partition.
SELECT state, token, updated_at, source_id IS NOT NULL FROM jobs WHERE id = ?1
