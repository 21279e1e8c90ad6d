-- Partitions that another one revealed before in this cycle have several parents from now on.
UPDATE jobs SET parent_id = 0
WHERE kind = 'ingest' AND key IN (SELECT value ->> 0 FROM json_each(?1)) AND cycle = ?2 AND parent_id <> ?3 AND parent_id <> 0
