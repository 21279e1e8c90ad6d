-- Held cycles of a source other than $2 are complete without their sweep, for this reason.
UPDATE cycles SET state = 'complete', reason = $3 WHERE source_id = $1 AND number <> $2 AND state = 'held'
