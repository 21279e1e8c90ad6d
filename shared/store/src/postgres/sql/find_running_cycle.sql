-- The bursting or sweeping cycle of a source: at most one.
SELECT number FROM cycles WHERE source_id = $1 AND state IN ('bursting', 'sweeping')
