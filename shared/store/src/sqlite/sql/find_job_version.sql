-- What the version of a job is made of, and whether it is a partition.
SELECT state, token, updated_at, source_id IS NOT NULL FROM jobs WHERE id = ?1
