-- Moves a follower from $2 (null: it never moved) to $3, unless another process moved it.
INSERT INTO followers AS f (name, position) VALUES ($1, $3)
ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE f.position = $2::BIGINT
