-- Approves the deletion of the number of entities that the person saw in this cycle. No row: something else is held
-- now.
UPDATE sources SET approved = held_removals WHERE id = ?1 AND held_cycle = ?2 AND held_removals = ?3
