-- Partitions of a source whose jobs' keys begin with NAME/?2 and come after NAME/?4: a range of the index of keys.
SELECT substr(j.key, length(s.name) + 2), j.args
FROM sources AS s
CROSS JOIN jobs AS j ON j.kind = 'ingest' AND j.key >= s.name || '/' || max(?2, ?4) AND j.key < s.name || '/' || ?2 || char(0x10ffff)
    AND j.key > s.name || '/' || ?4 AND j.source_id = s.id
WHERE s.id = ?1
ORDER BY j.key
LIMIT ?3
