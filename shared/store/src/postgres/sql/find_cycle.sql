-- State of a cycle, and whether its sweep is planned; locks the row.
SELECT state, planned FROM cycles WHERE source_id = $1 AND number = $2 FOR UPDATE
