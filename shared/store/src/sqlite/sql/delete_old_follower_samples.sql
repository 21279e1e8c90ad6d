-- Forgets how far followers had come before this minute.
DELETE FROM follower_samples WHERE minute < ?1
