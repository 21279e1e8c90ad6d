-- Records the outcome of the newest attempts for entities; without an error, an entity is in sync since $4. Returns
-- those for which the target had something else before.
WITH settled AS MATERIALIZED (
    SELECT DISTINCT ON (n.reference) n.reference, n.error, n.sent
    FROM unnest($2::TEXT[], $3::TEXT[], $5::TEXT[]) WITH ORDINALITY AS n (reference, error, sent, place)
    ORDER BY n.reference, n.place DESC
), written AS (
    INSERT INTO target_entities AS e (target, reference, fingerprint, error, synced_at)
    SELECT $1, s.reference, s.sent, s.error, CASE WHEN s.error IS NULL THEN $4::BIGINT END FROM settled s ORDER BY s.reference
    ON CONFLICT (target, reference) DO UPDATE SET
        fingerprint = coalesce(excluded.fingerprint, e.fingerprint),
        error = excluded.error,
        synced_at = coalesce(excluded.synced_at, e.synced_at)
)
SELECT s.reference FROM settled s
CROSS JOIN LATERAL (
    SELECT e.fingerprint FROM target_entities e WHERE e.target = $1 AND e.reference = s.reference LIMIT 1
) e
WHERE e.fingerprint <> s.sent
