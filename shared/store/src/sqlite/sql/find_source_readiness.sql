-- Whether requests to the source may continue.
SELECT state = 'active' AND hold_until <= ?2 FROM sources WHERE id = ?1
