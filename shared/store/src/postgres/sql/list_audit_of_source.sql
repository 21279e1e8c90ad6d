-- Like list_audit, on one source: found by its index.
SELECT id, at, actor_kind, actor, address, request, act, target, source, arguments, refused
FROM audit
WHERE ($1::TEXT IS NULL OR actor = $1)
  AND ($2::TEXT IS NULL OR act = $2)
  AND source = $3
  AND ($4::BIGINT IS NULL OR at >= $4)
  AND ($5::BIGINT IS NULL OR id < $5)
ORDER BY id DESC
LIMIT $6
