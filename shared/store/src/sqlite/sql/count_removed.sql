-- Records a step of a sweep.
UPDATE cycles SET removed = removed + ?3 WHERE source_id = ?1 AND number = ?2
