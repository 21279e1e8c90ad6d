-- Of what is settled, that of which the target had something else before.
SELECT e.reference FROM json_each(?2) AS n
CROSS JOIN target_entities AS e ON e.target = ?1 AND e.reference = n.value ->> 0
WHERE e.fingerprint <> n.value ->> 2
