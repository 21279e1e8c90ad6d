-- Records that the misses of this cycle are counted.
UPDATE cycles SET planned = 1 WHERE source_id = ?1 AND number = ?2
