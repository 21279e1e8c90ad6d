-- For people and their tools: the live entities, with their bodies as JSON. Tideline itself reads the tables.
CREATE VIEW catalog AS
SELECT s.name AS source, e.ref,
    substr(e.ref, 1, instr(e.ref, ':') - 1) AS kind,
    substr(e.ref, instr(e.ref, ':') + 1, instr(e.ref, '/') - instr(e.ref, ':') - 1) AS namespace,
    substr(e.ref, instr(e.ref, '/') + 1) AS name,
    c.body, e.sequence, strftime('%Y-%m-%dT%H:%M:%fZ', e.changed_at / 1000.0, 'unixepoch') AS changed_at
FROM entities e JOIN sources s ON s.id = e.source_id JOIN changes c ON c.sequence = e.sequence
WHERE e.change <> 'removed';
