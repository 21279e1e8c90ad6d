-- Readings that began after ?2 did so by a clock that has been set back since: they count as begun at ?1, or every delta
-- would come too late.
UPDATE pages SET read_at = ?1 WHERE read_at > ?2
