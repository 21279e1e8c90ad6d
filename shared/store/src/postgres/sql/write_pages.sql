-- Like touch_pages for the unchanged pages ($9); also writes the manifests of the others ($11 …): one row per page,
-- replaced as a whole. Keys that a page used to have and that none of these pages has now become misses; keys that it
-- gained although the catalog had them ($29), and those on several of the pages ($30), are suspected to be on other
-- pages too. $26: the item that made each key, for pages that record makers ($24).
WITH fence AS (
    UPDATE jobs j SET cursor = $5, progress = $6, rung = 0, rescues = 0, updated_at = $7
    FROM sources s, cycles c
    WHERE j.id = $1 AND j.token = $2 AND j.state = 'running' AND j.cycle = $4 AND s.id = $3
        AND c.source_id = $3 AND c.number = $4 AND c.state = 'bursting'
        AND coalesce((j.progress::JSON ->> 'next_page')::BIGINT, 0) = $8
        AND ($28::BOOLEAN OR NOT s.deltas)
    RETURNING s.hold_until, s.state
), touched AS (
    UPDATE pages p SET cycle = $4, read_at = $27 FROM fence
    WHERE p.partition_id = $1 AND p.page >= $8 AND p.page < $8 + $10 AND p.page = ANY ($9::INTEGER[])
    RETURNING 1
), before AS MATERIALIZED (
    SELECT p.key_hashes FROM pages p, fence
    WHERE p.partition_id = $1 AND p.page >= $8 AND p.page < $8 + $10 AND p.page = ANY ($11::INTEGER[])
), dropped AS (
    INSERT INTO misses (source_id, key_hash, partition_id)
    SELECT $3, d.key_hash, $1 FROM (
        SELECT unnest(b.key_hashes) AS key_hash FROM before b EXCEPT SELECT unnest($25::BIGINT[])
    ) d
    ORDER BY d.key_hash
    ON CONFLICT (source_id, key_hash) DO UPDATE SET partition_id = 0
        WHERE misses.partition_id <> excluded.partition_id
), suspected AS (
    INSERT INTO collisions (source_id, key_hash)
    SELECT $3, g.key_hash FROM (
        (SELECT unnest($29::BIGINT[]) AS key_hash EXCEPT SELECT unnest(b.key_hashes) FROM before b)
        UNION SELECT unnest($30::BIGINT[])
    ) g, fence
    ORDER BY g.key_hash
    ON CONFLICT (source_id, key_hash) DO NOTHING
), written AS (
    INSERT INTO pages (partition_id, source_id, page, cycle, entities, unidentified, fingerprint, next, children,
        request, etag, last_modified, content, key_hashes, read_at, kept, makers)
    SELECT $1, $3, n.page, $4, n.entities, n.unidentified, n.fingerprint, n.next, n.children,
        n.request, n.etag, n.last_modified, n.content, ($25::BIGINT[])[n.first_hash : n.last_hash], $27,
        n.kept, CASE WHEN n.told THEN ($26::BIGINT[])[n.first_hash : n.last_hash] END
    FROM fence
    CROSS JOIN unnest($11::INTEGER[], $12::BYTEA[], $13::INTEGER[], $14::INTEGER[], $15::TEXT[], $16::TEXT[],
        $17::BYTEA[], $18::TEXT[], $19::TEXT[], $20::BYTEA[], $21::INTEGER[], $22::INTEGER[],
        $23::INTEGER[], $24::BOOLEAN[])
        AS n (page, fingerprint, entities, unidentified, next, children, request, etag, last_modified, content,
            first_hash, last_hash, kept, told)
    ON CONFLICT (partition_id, page) DO UPDATE SET
        cycle = excluded.cycle, entities = excluded.entities, unidentified = excluded.unidentified,
        fingerprint = excluded.fingerprint, next = excluded.next, children = excluded.children,
        request = excluded.request, etag = excluded.etag, last_modified = excluded.last_modified,
        content = excluded.content, key_hashes = excluded.key_hashes, read_at = excluded.read_at,
        kept = excluded.kept, makers = excluded.makers
)
SELECT f.hold_until, f.state,
    ensure_true((SELECT count(*) FROM touched) = cardinality($9::INTEGER[]),
        'a page was called unchanged that the store does not remember') AS all_touched
FROM fence f
