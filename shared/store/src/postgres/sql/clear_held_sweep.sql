-- Clears a held sweep when its cycle ends.
UPDATE sources SET
    held_cycle = NULL, held_reason = NULL, held_removals = NULL, held_owned = NULL, held_at = NULL, approved = NULL
WHERE id = $1 AND held_cycle = $2
