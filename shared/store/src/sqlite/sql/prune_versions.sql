-- Deletes up to ?3 of the states that were replaced first: those before a time, and those beyond the maximum number.
DELETE FROM entity_versions WHERE rowid IN (
    SELECT o.rowid FROM (SELECT rowid, replaced_at FROM entity_versions ORDER BY replaced_at LIMIT ?3) AS o
    WHERE o.replaced_at < ?1
        OR o.replaced_at <= coalesce((SELECT replaced_at FROM entity_versions ORDER BY replaced_at DESC LIMIT 1 OFFSET ?2), -1)
)
