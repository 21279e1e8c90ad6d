-- How many live entities a source owns.
SELECT coalesce((SELECT value FROM counters WHERE name = 'entities/' || $1::BIGINT), 0)::BIGINT AS owned
