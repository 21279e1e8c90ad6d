-- Position of a delivery in the log.
SELECT sequence FROM events WHERE hook = ?1 AND delivery = ?2
