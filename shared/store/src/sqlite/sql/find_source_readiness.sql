-- Whether the source may be asked for more.
SELECT state = 'active' AND hold_until <= ?2 FROM sources WHERE id = ?1
