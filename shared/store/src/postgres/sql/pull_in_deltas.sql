-- As in pull_in_readings, of what deltas wrote.
UPDATE deltas SET read_at = $1 WHERE read_at > $2
