-- The store can be reached and the table that everything needs is there.
SELECT value FROM counters WHERE name = 'sequence'
