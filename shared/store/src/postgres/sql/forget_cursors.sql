-- Deletes partitions of earlier cycles; a worker that still runs one has lost its lease.
DELETE FROM jobs WHERE source_id = $1
