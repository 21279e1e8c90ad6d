-- These are no longer missed: they are gone.
DELETE FROM misses m USING unnest($2::BIGINT[]) AS n (key_hash) WHERE m.source_id = $1 AND m.key_hash = n.key_hash
