-- The worker's lease ends. Its row stays for a minute with a negative moment (no lease), so that a claim that is under way
-- is found.
UPDATE workers SET alive_until = -$2::BIGINT WHERE worker = $1
