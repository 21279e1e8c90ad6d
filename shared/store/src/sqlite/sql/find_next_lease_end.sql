-- When the next lease ends, unless its worker prolongs it.
SELECT min(alive_until) AS next_end FROM workers WHERE alive_until >= ?1
