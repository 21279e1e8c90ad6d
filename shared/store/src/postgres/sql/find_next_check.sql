-- When the next check of a source is due.
SELECT next_at FROM checks WHERE source_id = $1
