-- Original bodies from the sources, for those of the changes with these sequences that were enriched.
SELECT sequence, original FROM enrichments WHERE sequence = ANY ($1::BIGINT[]) AND original IS NOT NULL
