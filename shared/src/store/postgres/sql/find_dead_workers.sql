-- Is there a worker whose lease is over? Asked before anything is locked, since mostly there is none.
SELECT EXISTS (SELECT 1 FROM workers WHERE alive_until < $1) AS dead
