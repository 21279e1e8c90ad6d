-- The memory of the first page of each of these partitions; the same columns as list_page_memories, and the partition.
SELECT p.page, p.fingerprint, p.entities, p.unidentified, p.next, p.children, p.request, p.etag, p.last_modified, p.content,
    p.read_at,
    (
        SELECT k.key_hashes FROM page_keys AS k
        WHERE k.partition_id = p.partition_id AND k.page = p.page
          AND EXISTS (SELECT 1 FROM deltas AS d WHERE d.source_id = p.source_id)
    ),
    p.source_id,
    p.lost,
    p.kept,
    p.partition_id
FROM json_each(?1) AS n
CROSS JOIN pages AS p ON p.partition_id = n.value AND p.page = 0
