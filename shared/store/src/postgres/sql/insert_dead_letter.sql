-- Stores an event that was given up, for a person to look at.
INSERT INTO dead_letters (subscription, sequence, key, attempts, error, died_at)
VALUES ($1, $2, coalesce((SELECT e.key FROM events AS e WHERE e.sequence = $2), ''), $3, $4, $5)
ON CONFLICT (subscription, sequence) DO UPDATE SET attempts = excluded.attempts, error = excluded.error, died_at = excluded.died_at
