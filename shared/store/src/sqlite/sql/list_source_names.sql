-- Sources by name, from ?2 on; with ?1 only that one.
SELECT id, name FROM sources WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR name >= ?2) ORDER BY name
