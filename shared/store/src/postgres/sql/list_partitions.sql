-- Partitions of a source whose jobs' keys begin with NAME/$2 and come after NAME/$4: a range of the index of keys.
SELECT substr(j.key, length(s.name) + 2) AS key, j.args
FROM sources s
JOIN jobs j ON j.kind = 'ingest' AND j.key >= s.name || '/' || greatest($2 COLLATE "C", $4 COLLATE "C")
    AND j.key < s.name || '/' || $2 || chr(1114111) AND j.key > s.name || '/' || $4 AND j.source_id = s.id
WHERE s.id = $1
ORDER BY j.key
LIMIT $3
