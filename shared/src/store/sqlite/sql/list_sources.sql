-- Sources by name; with a name only that one.
SELECT
    id, name, source_type, state, blocked_reason, cycle, next_cycle_at, requested, nullif(hold_until, 0), entities,
    held_cycle, held_reason, held_removals, held_owned, held_at, approved IS NOT NULL
FROM sources
WHERE ?1 IS NULL OR name = ?1
ORDER BY name
