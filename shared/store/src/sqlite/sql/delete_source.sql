-- Deletes a source with its cycles, jobs, manifests and malformed items.
DELETE FROM sources WHERE id = ?1
