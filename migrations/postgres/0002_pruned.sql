-- The counter `pruned`: the greatest sequence number of a tombstone that was pruned, so that a reader who missed one can be
-- told. What was pruned so far nobody noted: whoever is not at the end of the feed starts over once.
INSERT INTO counters (name, value) SELECT 'pruned', value FROM counters WHERE name = 'sequence';
