-- Connections ask the planner to keep to indexes (docs/adr/0002). Neither rows that belong to nobody nor a function are needed
-- for that any more.
DELETE FROM pages WHERE source_id = 0 AND partition_id IN (SELECT id FROM jobs WHERE kind = '');
DELETE FROM jobs WHERE kind = '' AND key LIKE 'nobody/%';
DELETE FROM entities WHERE source_id = 0 AND ref LIKE 'nobody/%';

DROP FUNCTION by_index(BIGINT);
