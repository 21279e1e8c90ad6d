-- The rows of these sources are this transaction's, in one order for all; nothing else is read, so that what comes next sees
-- what was committed before. NO KEY: rows that point at the source (partitions, malformed items) lock its key for their
-- insert; a stronger lock taken after that by two transactions would be a deadlock.
SELECT id FROM sources WHERE id = ANY ($1::BIGINT[]) ORDER BY id FOR NO KEY UPDATE
