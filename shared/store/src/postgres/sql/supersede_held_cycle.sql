-- Completes the held cycles of a source other than $2 without their sweeps, for this reason.
UPDATE cycles SET state = 'complete', reason = $3 WHERE source_id = $1 AND number <> $2 AND state = 'held'
