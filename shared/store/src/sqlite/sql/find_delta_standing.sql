-- Since when deltas of the source count, and its newest cycle.
SELECT deltas_from, cycle FROM sources WHERE id = ?1
