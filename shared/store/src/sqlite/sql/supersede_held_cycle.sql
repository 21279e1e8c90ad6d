-- A newer held cycle takes the place of an older one.
UPDATE cycles SET state = 'complete', reason = 'superseded by cycle ' || ?2
WHERE source_id = ?1 AND state = 'held' AND number <> ?2
