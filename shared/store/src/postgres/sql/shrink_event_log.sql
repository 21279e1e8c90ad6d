-- Events that were counted were in the log already.
UPDATE event_log SET bytes = greatest(bytes - $1, 0)
