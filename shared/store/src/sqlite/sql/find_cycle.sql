-- State of a cycle, and whether its sweep is planned.
SELECT state, planned FROM cycles WHERE source_id = ?1 AND number = ?2
