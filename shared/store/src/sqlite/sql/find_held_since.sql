-- Since when a sweep of the source waits for a person who has not decided.
SELECT held_at FROM sources WHERE id = ?1 AND held_cycle IS NOT NULL AND approved IS NULL
