-- References that another place may show too, with the place that gained them (0: several): counted when the cycle ends.
INSERT INTO collisions (source_id, key_hash, gained_partition, gained_page)
SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2) WHERE true
ON CONFLICT (source_id, key_hash) DO UPDATE SET
    gained_partition = CASE
        WHEN collisions.gained_partition IS NULL
            OR (collisions.gained_partition = excluded.gained_partition AND collisions.gained_page = excluded.gained_page)
        THEN excluded.gained_partition ELSE 0 END,
    gained_page = excluded.gained_page
