-- Writes the manifest of a page, which is split over two tables.
INSERT INTO pages (
    partition_id, page, source_id, cycle, fingerprint, entities, unidentified, next, children,
    request, etag, last_modified, content, read_at, kept
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?15, ?16)
ON CONFLICT (partition_id, page) DO UPDATE SET
    cycle = excluded.cycle, fingerprint = excluded.fingerprint, entities = excluded.entities,
    unidentified = excluded.unidentified, next = excluded.next, children = excluded.children,
    request = excluded.request, etag = excluded.etag, last_modified = excluded.last_modified,
    content = excluded.content, read_at = excluded.read_at, kept = excluded.kept;
INSERT INTO page_keys (partition_id, page, key_hashes, makers) VALUES (?1, ?2, ?14, ?17)
ON CONFLICT (partition_id, page) DO UPDATE SET key_hashes = excluded.key_hashes, makers = excluded.makers
