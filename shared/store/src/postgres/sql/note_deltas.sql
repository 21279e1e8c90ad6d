-- Records what deltas write, and takes $8 sequence numbers for it as take_sequences does ($9: increase of live
-- entities; returns the last number). A version is kept unless a new one replaces it. What two origins make has several
-- makers (0). What a delta saw ($6) is a candidate of the next complete cycle's sweep, but not of a cycle already
-- running: it need not be on any page. What is gone ($7) is no longer missed. Deltas, page commits and sweeps of a
-- source take turns, so no order of locks is needed here.
WITH taken AS (
    UPDATE counters SET value = value + $8 WHERE name = 'sequence' AND $8::BIGINT > 0 RETURNING value
), noted AS (
    INSERT INTO deltas AS d (source_id, key_hash, read_at, version, origin, sequence)
    SELECT $1, n.key_hash, n.read_at, n.version, n.origin, coalesce(
        (SELECT t.value FROM taken t), (SELECT c.value + 1 FROM counters c WHERE c.name = 'sequence'))
    FROM unnest($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[]) AS n (key_hash, read_at, version, origin)
    ORDER BY n.key_hash
    ON CONFLICT (source_id, key_hash) DO UPDATE SET
        read_at = excluded.read_at, version = coalesce(excluded.version, d.version), sequence = excluded.sequence,
        origin = CASE WHEN excluded.origin <> d.origin THEN 0 ELSE excluded.origin END
), suspected AS (
    INSERT INTO misses (source_id, key_hash, last_cycle)
    SELECT s.id, n.key_hash, s.cycle
    FROM sources s CROSS JOIN unnest($6::BIGINT[]) AS n (key_hash)
    WHERE s.id = $1
    ORDER BY n.key_hash
    ON CONFLICT (source_id, key_hash) DO UPDATE SET missed = 0, last_cycle = excluded.last_cycle, kept = false, ref = NULL
), gone AS (
    DELETE FROM misses m USING unnest($7::BIGINT[]) AS n (key_hash) WHERE m.source_id = $1 AND m.key_hash = n.key_hash
), live AS (
    INSERT INTO counters AS c (name, value)
    SELECT 'entities/' || $1::BIGINT, $9 FROM taken WHERE $9::BIGINT <> 0
    ON CONFLICT (name) DO UPDATE SET value = c.value + excluded.value
)
SELECT value FROM taken
