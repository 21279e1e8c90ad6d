-- Acts, newest first: by an actor, of a name, on a source, since a moment, older than a record.
SELECT id, at, actor_kind, actor, address, request, act, target, source, arguments, refused
FROM audit
WHERE (?1 IS NULL OR actor = ?1)
  AND (?2 IS NULL OR act = ?2)
  AND (?3 IS NULL OR source = ?3)
  AND (?4 IS NULL OR at >= ?4)
  AND (?5 IS NULL OR id < ?5)
ORDER BY id DESC
LIMIT ?6
