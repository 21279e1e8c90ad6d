-- Who made what, so that a reading outside of cycles can remove what its item or partition no longer has.

-- The item that made each of the page's entities, as many as key_hashes (0: nobody knows); null: nobody tells, or an older
-- release wrote it.
ALTER TABLE pages ADD COLUMN makers BIGINT[];

-- What a delta's entity was made by, as the reading says; 0: several; null: nobody tells, or it was a removal.
ALTER TABLE deltas ADD COLUMN origin BIGINT;

CREATE INDEX deltas_origin ON deltas (source_id, origin) WHERE origin IS NOT NULL;
