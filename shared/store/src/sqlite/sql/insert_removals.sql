-- The removals in the change feed, with sequences in the order of the list.
INSERT INTO changes (sequence, source_id, ref)
SELECT ?3 + key, ?1, value FROM json_each(?2) WHERE ?4 IS NOT NULL
