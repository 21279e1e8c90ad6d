-- Clears the held sweep and its approval after the sweep was done.
UPDATE sources SET
    held_cycle = NULL, held_reason = NULL, held_removals = NULL, held_owned = NULL, held_at = NULL, approved = NULL
WHERE id = $1 AND (held_cycle IS NOT NULL OR approved IS NOT NULL)
