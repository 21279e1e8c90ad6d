-- Positions of followers of a kind, or of one of them, since a time, by name, oldest first.
SELECT name, minute, position, behind FROM follower_samples
WHERE kind = $1 AND minute >= $2 AND ($3::TEXT IS NULL OR name = $3) ORDER BY name, minute
