-- Holds a target back, only once if several workers find it unreachable at the same time: it must have been held $2
-- times before.
UPDATE targets SET holds = $2 + 1, hold_until = $3, hold_reason = $4 WHERE name = $1 AND holds = $2
