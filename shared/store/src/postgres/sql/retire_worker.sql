-- Ends the worker's lease. Its row stays for a minute with a negative time (no lease), so that a claim in flight is
-- found.
UPDATE workers SET alive_until = -$2::BIGINT WHERE worker = $1
