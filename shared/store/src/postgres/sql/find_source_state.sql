-- A source's row, state and identity by its name.
SELECT id, state, identity, forgotten FROM sources WHERE name = $1
