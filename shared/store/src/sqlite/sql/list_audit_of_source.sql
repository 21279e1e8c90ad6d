-- Like list_audit, on one source: found by its index.
SELECT id, at, actor_kind, actor, address, request, act, target, source, arguments, refused
FROM audit INDEXED BY audit_source
WHERE (?1 IS NULL OR actor = ?1)
  AND (?2 IS NULL OR act = ?2)
  AND source = ?3
  AND (?4 IS NULL OR at >= ?4)
  AND (?5 IS NULL OR id < ?5)
ORDER BY id DESC
LIMIT ?6
