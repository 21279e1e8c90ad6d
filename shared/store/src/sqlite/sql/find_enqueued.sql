-- The existing rows of a batch: position in the batch, and whether the fingerprint is equal.
SELECT b.key, j.id, j.token, j.fingerprint = unhex(b.value ->> 2)
FROM json_each(?1) AS b
CROSS JOIN jobs AS j ON j.kind = b.value ->> 0 AND j.key = b.value ->> 1
