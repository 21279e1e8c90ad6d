-- The target can be reached: nothing holds it back any more.
UPDATE targets SET holds = 0, hold_until = NULL, hold_reason = NULL WHERE name = $1 AND holds > 0
