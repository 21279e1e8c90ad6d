-- The live entity $2 of the source $1, if it is at the sequence $3, with its source's original body.
SELECT e.source_id, coalesce(n.original, e.body) AS original, coalesce(n.source_sequence, e.sequence) AS source_sequence
FROM sources s
JOIN entities e ON e.source_id = s.id AND e.ref = $2
LEFT JOIN enrichments n ON n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence
WHERE s.name = $1 AND e.sequence = $3 AND e.change <> 'removed'
