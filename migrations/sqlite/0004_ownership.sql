-- Who may own what: so that one partition that fails, or an item without a name, keeps only its own entities from the sweep.

-- The partition that revealed this one; 0: several did; null: an older release revealed it.
ALTER TABLE jobs ADD COLUMN parent_id INTEGER;
-- The cycle whose sweep keeps what this partition owns, because it failed or was not revealed.
ALTER TABLE jobs ADD COLUMN kept_in INTEGER;

-- The partition whose page dropped the entity; 0: several, or one that is gone.
ALTER TABLE misses ADD COLUMN partition_id INTEGER NOT NULL DEFAULT 0;

-- Entities that the sweep kept although the cycle did not see them, ones that wait for another complete cycle without them,
-- and references that more than one item gave.
ALTER TABLE cycles ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cycles ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cycles ADD COLUMN collisions INTEGER NOT NULL DEFAULT 0;

-- How many of the page's hashes, the last ones, are of items that are marked and not written.
ALTER TABLE pages ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
-- Hashes of entities on this page that are not written from it, because another place wins; 8 bytes big-endian each.
ALTER TABLE pages ADD COLUMN lost BLOB;

-- References that more than one place of a source shows. Zero places: suspected, counted when the cycle ends.
CREATE TABLE collisions (
    source_id     INTEGER NOT NULL,
    key_hash      INTEGER NOT NULL,
    places        INTEGER NOT NULL DEFAULT 0,
    ref           TEXT,
    -- The place whose item is in the catalog.
    partition_id  INTEGER NOT NULL DEFAULT 0,
    page          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, key_hash)
) STRICT, WITHOUT ROWID;
