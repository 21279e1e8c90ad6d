-- Where a cycle stands, and whether its sweep is planned.
SELECT state, planned FROM cycles WHERE source_id = ?1 AND number = ?2
