-- A step of a sweep was done.
UPDATE cycles SET removed = removed + ?3 WHERE source_id = ?1 AND number = ?2
