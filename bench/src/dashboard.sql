-- A store as large as the dashboard must stay quick on. No trigger tells of it: nothing of this happened.
SET session_replication_role = replica;

INSERT INTO sources (name, source_type, identity, parallel, state, cycle, created_at)
VALUES ('large', 'push', sha256('large'), 10, 'active', 100, 0);

INSERT INTO cycles (source_id, number, state, trigger, started_at, ended_at, totals)
SELECT s.id, n, CASE WHEN n % 20 = 0 THEN 'incomplete' ELSE 'complete' END, 'schedule',
    $NOW - (101 - n) * 1800000, $NOW - (101 - n) * 1800000 + 600000,
    json_build_object('partitions', 10000, 'partitions_done', 10000, 'pages', 20000, 'entities', 1000000,
        'added', n % 7, 'modified', n * 3, 'removed', n % 5)::TEXT
FROM generate_series(1, 100) AS n, sources s WHERE s.name = 'large';

INSERT INTO jobs (source_id, created_at, fingerprint, kind, key, args, trigger, cycle, updated_at, state)
SELECT s.id, $NOW, sha256('p'), 'ingest', 'large/partition-' || n, '{}', 'schedule', 100, $NOW - n * 100, 'done'
FROM generate_series(1, 10000) AS n, sources s WHERE s.name = 'large';

INSERT INTO pages (partition_id, source_id, page, cycle, entities, unidentified, fingerprint, key_hashes)
SELECT p.id, p.source_id, 0, 100, 100, 0, sha256('p'),
    ARRAY(SELECT k FROM generate_series((p.place - 1) * 100 + 1, p.place * 100) AS k)
FROM (SELECT j.id, j.source_id, row_number() OVER (ORDER BY j.id) AS place
    FROM jobs j JOIN sources s ON s.id = j.source_id WHERE s.name = 'large') AS p;

INSERT INTO entities (source_id, key_hash, sequence, changed_at, ref, fingerprint, change, body)
SELECT s.id, n, n, $NOW - (1000000 - n) * 10, 'component:team-' || n % 50 || '/service-' || n, sha256('e'),
    CASE WHEN n % 3 = 0 THEN 'modified' ELSE 'added' END,
    '{"kind":"Component","metadata":{"labels":{"tier":"' || CASE WHEN n % 100 = 0 THEN 'gold' ELSE 'silver' END
        || '"},"name":"service-' || n || '"},"spec":{"description":"' || repeat('x', 400) || '","owner":"team-' || n % 50 || '"}}'
FROM generate_series(1, 1000000) AS n, sources s WHERE s.name = 'large';

UPDATE counters SET value = 1000000 WHERE name = 'sequence';
INSERT INTO counters (name, value) SELECT 'entities/' || id, 1000000 FROM sources WHERE name = 'large';

INSERT INTO jobs (created_at, fingerprint, kind, key, args, trigger, parked_at, due_at, updated_at, state, last_error)
SELECT $NOW - n * 1000, sha256('j'), 'report-' || n % 5, 'report/' || n, '{"n":' || n || '}', 'manual',
    CASE WHEN n % 50 = 0 THEN $NOW END, CASE WHEN n % 50 = 1 THEN $NOW + 86400000 END, $NOW - n * 1000,
    CASE n % 50 WHEN 0 THEN 'parked' WHEN 1 THEN 'waiting' ELSE 'done' END,
    CASE WHEN n % 50 = 0 THEN 'the service answered 500: ' || repeat('something broke ', 20) END
FROM generate_series(1, 100000) AS n;

INSERT INTO events (sequence, created_at, body_bytes, stored_bytes, topic, key, hook, delivery, verdict, headers, body)
SELECT n, $NOW - (1000000 - n) * 60, 300, 500, CASE n % 4 WHEN 0 THEN 'ci.push' WHEN 1 THEN 'ci.release' ELSE 'ci.status' END,
    'repository-' || n % 1000, 'ci', n::TEXT, 'verified', '[["content-type","application/json"]]',
    convert_to('{"action":"done","text":"' || repeat('y', 270) || '"}', 'UTF8')
FROM generate_series(1, 1000000) AS n;
UPDATE event_log SET last = 1000000, bytes = 500000000;

INSERT INTO subscriptions (name, position, seen, created_at, max_outstanding, kind, topics)
VALUES ('reports', 999000, 999000, 0, 1000, 'pull', '["ci.*"]');
INSERT INTO dead_letters (subscription, sequence, key, attempts, error, died_at)
SELECT 'reports', n, 'repository-' || n % 1000, 8, 'the subscriber answered 500', $NOW - n * 1000 FROM generate_series(1, 1000) AS n;

INSERT INTO audit (at, actor_kind, actor, act, target, source, arguments)
SELECT $NOW - (100000 - n) * 1000, 'token', 'ana', 'sources.pause', 'large', CASE WHEN n % 10 = 0 THEN 'large' END, '{}'
FROM generate_series(1, 100000) AS n;

INSERT INTO samples (minute, due, lag, running, parked, dead_letters, last_sequence, last_event, entities, failed_cycles)
SELECT ($NOW / 60000 - n) * 60000, n % 9, n * 100, n % 5, 2000, 1000, 1000000 - n * 10, 1000000 - n * 700, n * 50, 0
FROM generate_series(1, 1439) AS n;

INSERT INTO hook_hours (hook, hour, stored, duplicates, unproven, refused, unavailable, last_stored_at)
SELECT 'ci', ($NOW / 3600000 - n) * 3600000, 40000 + n * 100, 3, n % 7, 0, 0, $NOW - n * 3600000 FROM generate_series(0, 167) AS n;

SET session_replication_role = DEFAULT;
