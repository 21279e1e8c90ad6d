-- The target can be reached, so it is no longer held back.
UPDATE targets SET holds = 0, hold_until = NULL, hold_reason = NULL WHERE name = ?1 AND holds > 0
