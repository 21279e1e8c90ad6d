-- A reference that several places show, and the one that wins.
UPDATE collisions SET places = ?3, partition_id = ?4, page = ?5, gained_partition = NULL, gained_page = NULL
WHERE source_id = ?1 AND key_hash = ?2
