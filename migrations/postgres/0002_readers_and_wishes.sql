-- The counter `pruned`: the greatest sequence number of a tombstone that was pruned, so that a reader who missed one can be
-- told. What was pruned so far nobody noted: whoever is not at the end of the feed starts over once.
INSERT INTO counters (name, value) SELECT 'pruned', value FROM counters WHERE name = 'sequence';

-- When the wish is due that came while the job ran: it runs again then.
ALTER TABLE jobs ADD COLUMN again_at BIGINT;
UPDATE jobs SET again_at = 0 WHERE again;
ALTER TABLE jobs DROP COLUMN again;

-- A partition of the cycle was given up, so the cycle ends without a sweep.
ALTER TABLE cycles ADD COLUMN given_up BOOLEAN NOT NULL DEFAULT false;
UPDATE cycles c SET given_up = true
WHERE c.state = 'bursting' AND EXISTS (
    SELECT 1 FROM jobs j WHERE j.source_id = c.source_id AND j.cycle = c.number AND j.state = 'cancelled');
