-- Starts a session on sign-in.
INSERT INTO sessions (hash, token_id, token_hash, opened_at, expires_at, person)
VALUES ($1, $2, $3, $4, $5, $6)
