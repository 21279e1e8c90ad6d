-- JSON may have the character NUL (\u0000), JSONB may not: readers of the view see U+FFFD in its place.
CREATE OR REPLACE VIEW catalog AS
SELECT s.name AS source, e.ref,
    split_part(e.ref, ':', 1) AS kind,
    split_part(substr(e.ref, strpos(e.ref, ':') + 1), '/', 1) AS namespace,
    substr(e.ref, strpos(e.ref, '/') + 1) AS name,
    CASE WHEN strpos(e.body, '\u0000') = 0 THEN e.body::JSONB
        ELSE regexp_replace(e.body, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::JSONB END AS body,
    e.sequence, to_timestamp(e.changed_at / 1000.0) AS changed_at
FROM entities e JOIN sources s ON s.id = e.source_id
WHERE e.change <> 'removed';
