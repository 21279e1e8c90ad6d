-- Appends a batch; deliveries that are already in the log are skipped. The log's row stays locked until the commit, so
-- numbers are in commit order. Returns the position of each event that was written. A row without a position: another
-- process appended some of the deliveries at the same time, and the log's size counts these bytes too many.
WITH given AS MATERIALIZED (
    SELECT g.* FROM unnest(
        $1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BOOLEAN[], $7::BIGINT[], $8::BIGINT[], $9::TEXT[],
        $10::TEXT[], $11::BOOLEAN[], $12::BYTEA[]
    ) WITH ORDINALITY AS g
        (topic, key, hook, delivery, verdict, malformed, body_bytes, stored_bytes, trace, headers, packed, body, place)
    WHERE NOT EXISTS (
        SELECT 1 FROM events e WHERE e.hook = g.hook AND e.delivery = g.delivery)
), taken AS (
    UPDATE event_log l SET last = l.last + n.events, bytes = l.bytes + n.bytes
    FROM (SELECT count(*) AS events, coalesce(sum(stored_bytes), 0)::BIGINT AS bytes FROM given) n
    WHERE n.events > 0
    RETURNING l.last - n.events AS before, n.events, n.bytes
), written AS (
    INSERT INTO events
        (sequence, created_at, topic, key, hook, delivery, verdict, malformed, body_bytes, stored_bytes, trace, headers, packed, body)
    SELECT t.before + row_number() OVER (ORDER BY g.place), $13, g.topic, g.key, g.hook, g.delivery, g.verdict, g.malformed,
        g.body_bytes, g.stored_bytes, g.trace, g.headers, g.packed, g.body
    FROM taken t, given g
    ON CONFLICT (hook, delivery) WHERE hook IS NOT NULL DO NOTHING
    RETURNING sequence, hook, delivery, stored_bytes
)
SELECT w.sequence, w.hook, w.delivery, 0::BIGINT AS excess FROM written w
UNION ALL
SELECT NULL, NULL, NULL, t.bytes - (SELECT coalesce(sum(w.stored_bytes), 0)::BIGINT FROM written w) FROM taken t
WHERE t.events > (SELECT count(*) FROM written)
