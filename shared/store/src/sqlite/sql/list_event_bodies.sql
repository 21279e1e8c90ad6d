-- Headers and bodies of these events, in order.
SELECT sequence, headers, packed, body
FROM events
WHERE sequence IN (SELECT value FROM json_each(?1))
ORDER BY sequence
