-- Records that the misses of this cycle are counted.
UPDATE cycles SET planned = true WHERE source_id = $1 AND number = $2
