-- Deletes misses that have no live entity. What a delta adds meanwhile is for the next cycle.
DELETE FROM misses WHERE source_id = $1 AND ref IS NULL AND last_cycle < $2
