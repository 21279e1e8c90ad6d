-- What the version of a source is made of.
SELECT state, cycle, requested, held_cycle, held_removals, approved IS NOT NULL FROM sources WHERE name = ?1
