-- A sweep that takes the place of a held one has waited as long as that.
UPDATE sources SET held_at = ?2 WHERE id = ?1
