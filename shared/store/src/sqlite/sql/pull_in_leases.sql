-- No lease lasts beyond ?2, the longest that may be configured, counted from ?1: what does was made by a clock that has been
-- set back since.
UPDATE workers SET alive_until = ?2 WHERE alive_until > ?2 AND ?1 < ?2
