-- Shortens leases to ?2, the longest that may be configured, counted from ?1: longer ones were written by a clock that
-- has since been set back.
UPDATE workers SET alive_until = ?2 WHERE alive_until > ?2 AND ?1 < ?2
