-- Deletes forgotten sources without a tombstone, with their counters.
WITH gone AS (
    DELETE FROM sources s
    WHERE s.forgotten AND NOT EXISTS (SELECT 1 FROM entities e WHERE e.source_id = s.id)
    RETURNING s.id
)
DELETE FROM counters c USING gone g WHERE c.name = 'entities/' || g.id
