-- Headers and bodies of these events, in order.
SELECT e.sequence, e.headers, e.packed, e.body
FROM events e
WHERE e.sequence = ANY ($1::BIGINT[])
ORDER BY e.sequence
