-- What of a page other places win.
UPDATE pages SET lost = ?3 WHERE partition_id = ?1 AND page = ?2
