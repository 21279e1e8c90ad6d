-- Ends the hold of a target that can be reached again.
UPDATE targets SET holds = 0, hold_until = NULL, hold_reason = NULL WHERE name = $1 AND holds > 0
