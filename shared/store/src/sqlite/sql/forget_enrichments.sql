-- Deletes enrichments of an entity that is gone, or that its source has written since.
DELETE FROM enrichments
WHERE ref = ?1 AND NOT EXISTS (
    SELECT 1 FROM entities AS e
    WHERE e.source_id = enrichments.source_id AND e.ref = enrichments.ref AND e.sequence = enrichments.sequence)
