-- Whether deltas wrote anything of the source that its pages are to be compared with.
SELECT EXISTS (SELECT 1 FROM deltas WHERE source_id = ?1)
