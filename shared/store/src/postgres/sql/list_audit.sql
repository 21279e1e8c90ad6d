-- Acts, newest first: by an actor, of a name, on a source, since a moment, older than a record.
SELECT id, at, actor_kind, actor, address, request, act, target, source, arguments, refused
FROM audit
WHERE ($1::TEXT IS NULL OR actor = $1)
  AND ($2::TEXT IS NULL OR act = $2)
  AND ($3::TEXT IS NULL OR source = $3)
  AND ($4::BIGINT IS NULL OR at >= $4)
  AND ($5::BIGINT IS NULL OR id < $5)
ORDER BY id DESC
LIMIT $6
