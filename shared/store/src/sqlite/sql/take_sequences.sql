-- Gives ?1 sequence numbers, the first of which is the answer; whoever holds them holds the write lock until it commits.
UPDATE counters SET value = value + ?1 WHERE name = 'sequence' RETURNING value - ?1 + 1
