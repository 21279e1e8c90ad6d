-- The last number given to a change, and the greatest one of a pruned tombstone.
SELECT
    (SELECT value FROM counters WHERE name = 'sequence'),
    (SELECT value FROM counters WHERE name = 'pruned')
