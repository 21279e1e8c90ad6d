-- Locks the rows of these sources, always in the same order; reads nothing else, so that the next statement sees what
-- was committed before. NO KEY: a page commit that revealed partitions already holds the row's key (a foreign key's
-- lock), and two of them would deadlock.
SELECT id FROM sources WHERE id = ANY ($1::BIGINT[]) ORDER BY id FOR NO KEY UPDATE
