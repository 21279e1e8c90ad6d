-- Deletes notices about problems that have been quiet since.
DELETE FROM notices WHERE subscription = $1 AND created_at < $2
