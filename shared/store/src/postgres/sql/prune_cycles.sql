-- Deletes up to $2 cycles that ended before $1, except the newest $3 of each source. Running and held cycles stay.
DELETE FROM cycles WHERE (source_id, number) IN (
    SELECT c.source_id, c.number FROM cycles AS c JOIN sources AS s ON s.id = c.source_id
    WHERE c.state IN ('complete', 'incomplete', 'cancelled') AND c.ended_at < $1 AND c.number <= s.cycle - $3
    LIMIT $2)
