-- How far a subscription or target had come at a minute, once, whoever is first.
INSERT INTO follower_samples (kind, name, minute, position, behind) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (kind, name, minute) DO NOTHING
