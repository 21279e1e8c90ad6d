-- Like touch_siblings, for partitions whose only page is unchanged except its validators ($9) or is replaced ($10 …, of
-- the partitions $26): what write_pages does for one partition. Keys that several of them dropped are misses of no
-- particular partition. Keys ($27) of the partitions $28 that the catalog had are suspected to be on other pages if
-- they are new to their partition's page.
WITH fence AS (
    UPDATE jobs j SET
        state = 'done', due_at = NULL, cursor = NULL, progress = n.progress, attempt = 0, rung = 0, rescues = 0,
        last_error = NULL, hinted_at = 0, worker = NULL, updated_at = $3
    FROM unnest($4::BIGINT[], $5::BIGINT[], $6::TEXT[], $7::BIGINT[]) AS n (id, token, progress, read_at), sources s, cycles c
    WHERE j.id = n.id AND j.token = n.token AND j.state = 'running' AND j.cycle = $2 AND j.again_at IS NULL
        AND j.progress IS NULL AND s.id = $1 AND ($8::BOOLEAN OR NOT s.deltas)
        AND c.source_id = $1 AND c.number = $2 AND c.state = 'bursting'
    RETURNING j.id, n.read_at
), touched AS (
    UPDATE pages p SET cycle = $2, read_at = f.read_at FROM fence f
    WHERE f.id = ANY ($9::BIGINT[]) AND p.partition_id = f.id AND p.page = 0
    RETURNING 1
), before AS MATERIALIZED (
    SELECT p.partition_id, p.key_hashes FROM pages p, fence f
    WHERE p.partition_id = f.id AND p.page = 0 AND f.id <> ALL ($9::BIGINT[])
), dropped AS (
    INSERT INTO misses (source_id, key_hash, partition_id)
    SELECT $1, d.key_hash, CASE WHEN count(*) = 1 THEN min(d.partition_id) ELSE 0 END FROM (
        SELECT b.partition_id, unnest(b.key_hashes) AS key_hash FROM before b
        EXCEPT
        SELECT n.partition_id, unnest(($24::BIGINT[])[n.first_hash : n.last_hash])
        FROM unnest($26::BIGINT[], $20::INTEGER[], $21::INTEGER[]) AS n (partition_id, first_hash, last_hash)
        JOIN before b ON b.partition_id = n.partition_id
    ) d
    GROUP BY d.key_hash
    ORDER BY d.key_hash
    ON CONFLICT (source_id, key_hash) DO UPDATE SET partition_id = 0
        WHERE misses.partition_id <> excluded.partition_id
), suspected AS (
    INSERT INTO collisions AS o (source_id, key_hash, gained_partition, gained_page)
    SELECT $1::BIGINT, g.key_hash, CASE WHEN count(*) = 1 THEN min(g.partition_id) ELSE 0 END, 0 FROM (
        SELECT n.partition_id, n.key_hash FROM unnest($28::BIGINT[], $27::BIGINT[]) AS n (partition_id, key_hash)
        EXCEPT SELECT b.partition_id, unnest(b.key_hashes) FROM before b
    ) g
    JOIN fence f ON f.id = g.partition_id
    GROUP BY g.key_hash
    ORDER BY g.key_hash
    ON CONFLICT (source_id, key_hash) DO UPDATE SET
        gained_partition = CASE
            WHEN o.gained_partition IS NULL OR (o.gained_partition = excluded.gained_partition AND o.gained_page = 0)
            THEN excluded.gained_partition ELSE 0 END,
        gained_page = 0
), written AS (
    INSERT INTO pages (partition_id, source_id, page, cycle, entities, unidentified, fingerprint, next, children,
        request, etag, last_modified, content, key_hashes, read_at, kept, makers)
    SELECT f.id, $1, n.page, $2, n.entities, n.unidentified, n.fingerprint, n.next, n.children,
        n.request, n.etag, n.last_modified, n.content, ($24::BIGINT[])[n.first_hash : n.last_hash], f.read_at,
        n.kept, CASE WHEN n.told THEN ($25::BIGINT[])[n.first_hash : n.last_hash] END
    FROM unnest($26::BIGINT[], $10::INTEGER[], $11::BYTEA[], $12::INTEGER[], $13::INTEGER[], $14::TEXT[], $15::TEXT[],
        $16::BYTEA[], $17::TEXT[], $18::TEXT[], $19::BYTEA[], $20::INTEGER[], $21::INTEGER[],
        $22::INTEGER[], $23::BOOLEAN[])
        AS n (partition_id, page, fingerprint, entities, unidentified, next, children, request, etag, last_modified,
            content, first_hash, last_hash, kept, told)
    JOIN fence f ON f.id = n.partition_id
    ON CONFLICT (partition_id, page) DO UPDATE SET
        cycle = excluded.cycle, entities = excluded.entities, unidentified = excluded.unidentified,
        fingerprint = excluded.fingerprint, next = excluded.next, children = excluded.children,
        request = excluded.request, etag = excluded.etag, last_modified = excluded.last_modified,
        content = excluded.content, key_hashes = excluded.key_hashes, read_at = excluded.read_at,
        kept = excluded.kept, makers = excluded.makers
)
SELECT (SELECT count(*) FROM fence) AS fenced,
    ensure_true((SELECT count(*) FROM touched) = (SELECT count(*) FROM fence f WHERE f.id = ANY ($9::BIGINT[])),
        'a page was called unchanged that the store does not remember') AS all_touched
