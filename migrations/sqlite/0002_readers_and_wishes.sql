-- The counter `pruned`: the greatest sequence number of a tombstone that was pruned, so that a reader who missed one can be
-- told. What was pruned so far nobody noted: whoever is not at the end of the feed starts over once.
INSERT INTO counters (name, value) SELECT 'pruned', value FROM counters WHERE name = 'sequence';

-- When the wish is due that came while the job ran: it runs again then.
ALTER TABLE jobs ADD COLUMN again_at INTEGER;
UPDATE jobs SET again_at = 0 WHERE again = 1;
ALTER TABLE jobs DROP COLUMN again;
