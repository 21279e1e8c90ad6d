-- Original bodies from the sources, for those of the changes with these sequences that were enriched.
SELECT sequence, original FROM enrichments
WHERE sequence IN (SELECT value FROM json_each(?1)) AND original IS NOT NULL
