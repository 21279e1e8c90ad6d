-- Records what a target's follower last saw of these entities (reference, fingerprint). In order, so that two followers
-- never deadlock.
INSERT INTO target_entities (target, reference, fingerprint)
SELECT $1, e.reference, e.fingerprint FROM unnest($2::TEXT[], $3::TEXT[]) AS e (reference, fingerprint) ORDER BY e.reference
ON CONFLICT (target, reference) DO UPDATE SET fingerprint = excluded.fingerprint
