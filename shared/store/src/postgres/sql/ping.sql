-- Checks that the store can be reached and has the table that everything needs.
SELECT value FROM counters WHERE name = 'sequence'
