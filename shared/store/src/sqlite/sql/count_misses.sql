-- Counts each miss once per cycle.
UPDATE misses SET missed = missed + 1, last_cycle = ?2 WHERE source_id = ?1 AND last_cycle < ?2
