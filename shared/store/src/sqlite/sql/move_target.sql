-- Moves a target on from its position (?2), unless another process moved it or it is paused.
UPDATE targets SET place = ?3 WHERE name = ?1 AND place = ?2 AND state = 'active'
