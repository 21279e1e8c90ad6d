-- For people and their tools: the live entities, with their bodies as JSON. Tideline itself reads the tables.
CREATE VIEW catalog AS
SELECT s.name AS source, e.ref,
    split_part(e.ref, ':', 1) AS kind,
    split_part(substr(e.ref, strpos(e.ref, ':') + 1), '/', 1) AS namespace,
    substr(e.ref, strpos(e.ref, '/') + 1) AS name,
    e.body::JSONB AS body, e.sequence, to_timestamp(e.changed_at / 1000.0) AS changed_at
FROM entities e JOIN sources s ON s.id = e.source_id
WHERE e.change <> 'removed';

-- True, or an error with this text: for statements that must not go on under a wrong assumption.
CREATE FUNCTION ensure_true(condition BOOLEAN, problem TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
    IF condition IS NOT TRUE THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'assert_failure';
    END IF;
    RETURN true;
END $$;
