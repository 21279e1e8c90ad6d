-- Live entities of a source by reference: from ?2 to before ?3, exactly ?4, later than ?5.
SELECT e.ref, e.fingerprint, e.sequence, e.changed_at, c.body
FROM entities AS e
CROSS JOIN changes AS c ON c.sequence = e.sequence
WHERE e.source_id = ?1
  AND e.ref >= max(?2, coalesce(?5, ''))
  AND (?3 IS NULL OR e.ref < ?3)
  AND (?4 IS NULL OR e.ref = ?4)
  AND (?5 IS NULL OR e.ref > ?5)
  AND e.change <> 'removed'
ORDER BY e.ref
LIMIT ?6
