-- Deletes removed entities whose removal is no longer in the change feed.
DELETE FROM entities
WHERE change = 'removed' AND changed_at < ?1 AND NOT EXISTS (SELECT 1 FROM changes AS c WHERE c.sequence = entities.sequence)
