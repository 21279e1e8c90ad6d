-- Since when deltas of the source count, and how many entities it owns.
SELECT deltas_from, entities FROM sources WHERE id = ?1
