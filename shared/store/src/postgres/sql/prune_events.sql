-- Drops the events up to a position and records that, and their size, so that a reader that missed some can be told.
-- Returns how many. The log's row is locked last.
WITH pruned AS (
    DELETE FROM events WHERE sequence <= $1 RETURNING stored_bytes
), gone AS (
    SELECT count(*) AS events, coalesce(sum(stored_bytes), 0)::BIGINT AS bytes FROM pruned
), noted AS (
    UPDATE event_log l SET pruned_to = greatest(l.pruned_to, $1), bytes = greatest(l.bytes - g.bytes, 0)
    FROM gone g WHERE g.events > 0
)
SELECT events AS pruned FROM gone
