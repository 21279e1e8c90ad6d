-- What came of the newest attempts for entities; without an error one is as it should be since $4.
INSERT INTO target_entities AS e (target, reference, error, synced_at)
SELECT DISTINCT ON (n.reference) $1, n.reference, n.error, CASE WHEN n.error IS NULL THEN $4::BIGINT END
FROM unnest($2::TEXT[], $3::TEXT[]) WITH ORDINALITY AS n (reference, error, place)
ORDER BY n.reference, n.place DESC
ON CONFLICT (target, reference) DO UPDATE
SET error = excluded.error, synced_at = coalesce(excluded.synced_at, e.synced_at)
