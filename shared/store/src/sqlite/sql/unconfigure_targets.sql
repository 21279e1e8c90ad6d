-- Notes which targets are no longer configured: all but those of this list. What they own stays theirs.
UPDATE targets SET configured = 0
WHERE configured = 1 AND name NOT IN (SELECT json_extract(value, '$[0]') FROM json_each(?1))
