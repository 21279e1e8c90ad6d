-- Is there a worker with an expired lease, and when does the next lease expire? Checked before anything is locked,
-- since usually no worker is dead.
SELECT coalesce(bool_or(alive_until < $1), false) AS dead, min(alive_until) FILTER (WHERE alive_until >= $1) AS next_end
FROM workers
