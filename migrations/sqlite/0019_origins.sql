-- Who made what, so that a reading outside of cycles can remove what its item or partition no longer has.

-- The item that made each of the page's entities, 8 bytes big-endian each; null: nobody tells, or an older release wrote it.
ALTER TABLE page_keys ADD COLUMN makers BLOB;

-- What a delta's entity was made by, as the reading says; 0: several; null: nobody tells, or it was a removal.
ALTER TABLE deltas ADD COLUMN origin INTEGER;

CREATE INDEX deltas_origin ON deltas (source_id, origin) WHERE origin IS NOT NULL;
