-- The number of the newest change.
SELECT value FROM counters WHERE name = 'sequence'
