-- The rows of these sources are this transaction's, in one order for all; nothing else is read, so that what comes next sees
-- what was committed before.
SELECT id FROM sources WHERE id = ANY ($1::BIGINT[]) ORDER BY id FOR UPDATE
