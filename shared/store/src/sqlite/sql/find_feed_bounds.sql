-- The last change number, and the greatest one of a pruned tombstone.
SELECT
    (SELECT value FROM counters WHERE name = 'sequence'),
    (SELECT value FROM counters WHERE name = 'pruned')
