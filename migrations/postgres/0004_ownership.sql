-- Who may own what: so that one partition that fails, or an item without a name, keeps only its own entities from the sweep.

-- The partition that revealed this one; 0: several did; null: an older release revealed it.
ALTER TABLE jobs ADD COLUMN parent_id BIGINT;
-- The cycle whose sweep keeps what this partition owns, because it failed or was not revealed.
ALTER TABLE jobs ADD COLUMN kept_in BIGINT;

-- A partition without a place has a due_at from 2^62 on: 2^62 and the moment until which it waits on its ladder.
UPDATE jobs SET due_at = 4611686018427387904 WHERE due_at = 9223372036854775807 AND source_id IS NOT NULL;

-- The partition whose page dropped the entity; 0: several, or one that is gone.
ALTER TABLE misses ADD COLUMN partition_id BIGINT NOT NULL DEFAULT 0;

-- Entities that the sweep kept although the cycle did not see them, ones that wait for another complete cycle without them,
-- and references that more than one item gave.
ALTER TABLE cycles ADD COLUMN kept BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cycles ADD COLUMN unconfirmed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cycles ADD COLUMN collisions BIGINT NOT NULL DEFAULT 0;

-- How many of the page's hashes, the last ones, are of items that are marked and not written.
ALTER TABLE pages ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
-- Hashes of entities on this page that are not written from it, because another place wins.
ALTER TABLE pages ADD COLUMN lost BIGINT[];

-- References that more than one place of a source shows. Zero places: suspected, counted when the cycle ends.
CREATE TABLE collisions (
    source_id     BIGINT  NOT NULL,
    key_hash      BIGINT  NOT NULL,
    places        BIGINT  NOT NULL DEFAULT 0,
    ref           TEXT    COLLATE "C",
    -- The place whose item is in the catalog.
    partition_id  BIGINT  NOT NULL DEFAULT 0,
    page          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, key_hash)
);
