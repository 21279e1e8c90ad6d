-- Deletes up to $3 of the states that were replaced first: those before a time, and those beyond the maximum number.
DELETE FROM entity_versions v USING (
    SELECT source_id, ref, sequence, replaced_at FROM entity_versions ORDER BY replaced_at LIMIT $3
) o
WHERE v.source_id = o.source_id AND v.ref = o.ref AND v.sequence = o.sequence
    AND (o.replaced_at < $1
        OR o.replaced_at <= coalesce((SELECT replaced_at FROM entity_versions ORDER BY replaced_at DESC OFFSET $2 LIMIT 1), -1))
