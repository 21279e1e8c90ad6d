-- A source's row, state and identity by its name.
SELECT id, state, identity FROM sources WHERE name = ?1
