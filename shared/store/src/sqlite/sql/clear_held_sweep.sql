-- A held sweep is over with its cycle (?2), or whatever its cycle (null).
UPDATE sources SET
    held_cycle = NULL, held_reason = NULL, held_removals = NULL, held_owned = NULL, held_at = NULL, approved = NULL
WHERE id = ?1 AND (?2 IS NULL OR held_cycle = ?2)
