-- Is there a worker whose lease is over, and when does the next lease end? Asked before anything is locked, since mostly
-- nobody is dead.
SELECT coalesce(bool_or(alive_until < $1), false) AS dead, min(alive_until) FILTER (WHERE alive_until >= $1) AS next_end
FROM workers
