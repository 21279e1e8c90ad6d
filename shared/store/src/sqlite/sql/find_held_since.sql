-- Since when a held sweep of the source has been waiting for a decision.
SELECT held_at FROM sources WHERE id = ?1 AND held_cycle IS NOT NULL AND approved IS NULL
