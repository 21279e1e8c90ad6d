-- Allocates ?1 sequence numbers and returns the first; the transaction that has them holds the write lock until it
-- commits.
UPDATE counters SET value = value + ?1 WHERE name = 'sequence' RETURNING value - ?1 + 1
