-- Position of a subscription or target at a minute; the first writer wins.
INSERT INTO follower_samples (kind, name, minute, position, behind) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (kind, name, minute) DO NOTHING
