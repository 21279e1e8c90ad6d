-- Counts the places that show each suspected reference, and lets the lowest one win (by partition, then page). A place
-- that wins now, or loses something else than before, is compared with the catalog again when it is next read, whatever
-- it says. A reference that only one place shows is no longer a collision.
WITH places AS MATERIALIZED (
    SELECT h.key_hash, p.partition_id, p.page, j.key
    FROM pages p
    JOIN jobs j ON j.id = p.partition_id AND j.source_id = $1
    CROSS JOIN LATERAL (
        SELECT unnest(p.key_hashes[1 : cardinality(p.key_hashes) - p.kept]) AS key_hash
        UNION
        SELECT l.key_hash FROM unnest(p.lost) AS l (key_hash) WHERE l.key_hash = ANY (p.key_hashes)
    ) h
    WHERE p.source_id = $1 AND EXISTS (SELECT 1 FROM collisions WHERE source_id = $1)
        AND h.key_hash IN (SELECT key_hash FROM collisions WHERE source_id = $1)
), counted AS MATERIALIZED (
    SELECT key_hash, count(*) AS places,
        (array_agg(partition_id ORDER BY key, page))[1] AS partition_id, (array_agg(page ORDER BY key, page))[1] AS page
    FROM places
    GROUP BY key_hash
    HAVING count(*) > 1
), losers AS MATERIALIZED (
    SELECT p.partition_id, p.page, array_agg(p.key_hash ORDER BY p.key_hash) AS lost
    FROM places p
    JOIN counted c ON c.key_hash = p.key_hash
    WHERE p.partition_id <> c.partition_id OR p.page <> c.page
    GROUP BY p.partition_id, p.page
), changed AS (
    SELECT p.partition_id, p.page
    FROM pages p
    LEFT JOIN losers l ON l.partition_id = p.partition_id AND l.page = p.page
    WHERE p.source_id = $1 AND EXISTS (SELECT 1 FROM collisions WHERE source_id = $1) AND p.lost IS DISTINCT FROM l.lost
    UNION
    SELECT c.partition_id, c.page
    FROM counted c
    JOIN collisions o ON o.key_hash = c.key_hash
    WHERE o.source_id = $1 AND (o.partition_id <> c.partition_id OR o.page <> c.page)
), compared_again AS (
    UPDATE pages p SET
        lost = n.lost, fingerprint = decode(repeat('00', 32), 'hex'), request = NULL, etag = NULL, last_modified = NULL,
        content = NULL
    FROM (
        SELECT c.partition_id, c.page, l.lost
        FROM changed c
        LEFT JOIN losers l ON l.partition_id = c.partition_id AND l.page = c.page
    ) n
    WHERE p.partition_id = n.partition_id AND p.page = n.page
), ended AS (
    DELETE FROM collisions WHERE source_id = $1 AND key_hash NOT IN (SELECT key_hash FROM counted)
)
UPDATE collisions o SET places = c.places, partition_id = c.partition_id, page = c.page
FROM counted c
WHERE o.source_id = $1 AND o.key_hash = c.key_hash
