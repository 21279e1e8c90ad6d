-- Size of each of these tables with its indexes, and its approximate number of rows, largest first.
SELECT t.name, pg_total_relation_size(c.oid) AS bytes, greatest(c.reltuples, 0)::BIGINT AS row_count
FROM unnest($1::TEXT[]) AS t (name)
JOIN pg_class c ON c.oid = to_regclass(t.name)
ORDER BY bytes DESC, t.name
