-- Where a cycle stands, and whether its sweep is planned; the row is this transaction's.
SELECT state, planned FROM cycles WHERE source_id = $1 AND number = $2 FOR UPDATE
