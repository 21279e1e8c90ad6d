-- What each table takes with its indexes, largest first. Reads every page of the file.
SELECT coalesce(m.tbl_name, s.name) AS name, sum(s.pgsize) AS bytes
FROM dbstat AS s LEFT JOIN sqlite_schema AS m ON m.name = s.name
WHERE s.aggregate = TRUE AND s.name NOT LIKE 'sqlite_%'
GROUP BY 1 ORDER BY bytes DESC, name
