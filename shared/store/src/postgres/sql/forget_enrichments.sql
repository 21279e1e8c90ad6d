-- Deletes enrichments of an entity that is gone, or that its source has written since.
DELETE FROM enrichments n
WHERE n.ref = $1 AND NOT EXISTS (
    SELECT 1 FROM entities e WHERE e.source_id = n.source_id AND e.ref = n.ref AND e.sequence = n.sequence)
