-- References that more than one place may show, those that did before first.
SELECT key_hash, partition_id, page, gained_partition, gained_page
FROM collisions WHERE source_id = ?1 ORDER BY places DESC, key_hash LIMIT ?2
