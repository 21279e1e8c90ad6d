-- What the sources gave, of the changes with these sequences that show more than that.
SELECT sequence, original FROM enrichments
WHERE sequence IN (SELECT value FROM json_each(?1)) AND original IS NOT NULL
