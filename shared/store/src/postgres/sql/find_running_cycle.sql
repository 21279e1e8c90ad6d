-- The cycle of a source that bursts or sweeps: at most one.
SELECT number FROM cycles WHERE source_id = $1 AND state IN ('bursting', 'sweeping')
