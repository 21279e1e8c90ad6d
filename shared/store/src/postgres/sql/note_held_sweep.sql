-- Shows the held sweep; an approval of an older one does not cover it. The source rests.
UPDATE sources SET
    held_cycle = $2, held_reason = $3, held_removals = $4, held_owned = $5, held_at = $6, approved = NULL, next_cycle_at = $7
WHERE id = $1
