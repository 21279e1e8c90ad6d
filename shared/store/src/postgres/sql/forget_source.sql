-- Hides an orphan without entities; its row stays, because its tombstones show its name.
WITH cycles_gone AS (DELETE FROM cycles WHERE source_id = $1),
jobs_gone AS (DELETE FROM jobs WHERE source_id = $1),
malformed_gone AS (DELETE FROM malformed WHERE source_id = $1),
misses_gone AS (DELETE FROM misses WHERE source_id = $1),
deltas_gone AS (DELETE FROM deltas WHERE source_id = $1),
collisions_gone AS (DELETE FROM collisions WHERE source_id = $1)
UPDATE sources SET
    forgotten = true, cycle = 0, next_cycle_at = NULL, requested = NULL, hold_until = 0, held_cycle = NULL, held_reason = NULL,
    held_removals = NULL, held_owned = NULL, held_at = NULL, approved = NULL, deltas_from = 0
WHERE id = $1
