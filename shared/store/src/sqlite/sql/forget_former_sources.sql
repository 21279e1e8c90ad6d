-- Former sources that nothing in the change feed refers to.
DELETE FROM former_sources
WHERE ?1 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM entities AS e WHERE e.source_id = former_sources.id)
