-- A person approved the deletion of as many entities as they saw.
UPDATE sources SET approved = held_removals WHERE id = ?1
