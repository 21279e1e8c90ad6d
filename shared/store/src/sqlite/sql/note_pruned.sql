-- Tombstones up to this number may be pruned; it only ever grows.
UPDATE counters SET value = max(value, ?1) WHERE name = 'pruned'
