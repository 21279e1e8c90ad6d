-- Whether this cycle of a source is still bursting.
SELECT EXISTS (SELECT 1 FROM cycles WHERE source_id = $1 AND number = $2 AND state = 'bursting') AS bursts
