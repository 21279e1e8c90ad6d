-- A sweep that replaces a held one inherits its waiting time.
UPDATE sources SET held_at = ?2 WHERE id = ?1
