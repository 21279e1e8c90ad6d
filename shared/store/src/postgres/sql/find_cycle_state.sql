-- Whether this cycle of a source still bursts.
SELECT EXISTS (SELECT 1 FROM cycles WHERE source_id = $1 AND number = $2 AND state = 'bursting') AS bursts
