-- What the version of a source is made of; the row is this transaction's.
SELECT state, cycle, requested, held_cycle, held_removals, approved IS NOT NULL AS approved
FROM sources
WHERE name = $1 AND NOT forgotten
FOR UPDATE
