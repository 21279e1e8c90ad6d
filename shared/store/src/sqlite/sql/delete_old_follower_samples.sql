-- Deletes positions of followers before this minute.
DELETE FROM follower_samples WHERE minute < ?1
