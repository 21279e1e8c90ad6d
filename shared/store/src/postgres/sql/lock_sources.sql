-- The rows of these sources are this transaction's, in one order for all; nothing else is read, so that what comes next sees
-- what was committed before. NO KEY: a page commit that revealed partitions holds the row's key already (a foreign key's
-- lock), and two of them would wait for each other.
SELECT id FROM sources WHERE id = ANY ($1::BIGINT[]) ORDER BY id FOR NO KEY UPDATE
