-- Notes up to where the log was dropped, and how much that was, so that a reader who missed something can be told.
UPDATE event_log SET pruned_to = max(pruned_to, ?1), bytes = max(bytes - ?2, 0)
