-- A new cycle; the index on running ones refuses a second.
INSERT INTO cycles (source_id, number, state, trigger, started_at, first_sequence)
SELECT ?1, ?2, 'bursting', ?3, ?4, value FROM counters WHERE name = 'sequence'
