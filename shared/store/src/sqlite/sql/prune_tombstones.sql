-- Takes old removals out of the change feed, the oldest first; says which.
DELETE FROM changes
WHERE sequence IN (
    SELECT sequence FROM entities WHERE change = 'removed' AND changed_at < ?1 ORDER BY changed_at LIMIT ?2
)
RETURNING sequence
