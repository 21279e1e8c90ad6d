-- What the sources gave, of the changes with these sequences that show more than that.
SELECT sequence, original FROM enrichments WHERE sequence = ANY ($1::BIGINT[]) AND original IS NOT NULL
