-- Records which targets are no longer configured: all except those of this list. They keep what they own.
UPDATE targets SET configured = 0
WHERE configured = 1 AND name NOT IN (SELECT json_extract(value, '$[0]') FROM json_each(?1))
