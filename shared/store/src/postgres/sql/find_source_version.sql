-- What the version of a source is computed from; locks the row.
SELECT state, cycle, requested, held_cycle, held_removals, approved IS NOT NULL AS approved
FROM sources
WHERE name = $1 AND NOT forgotten
FOR UPDATE
