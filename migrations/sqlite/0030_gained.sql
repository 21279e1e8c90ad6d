-- The place that was read with a reference that the catalog had already from elsewhere, since references were counted last; 0: several
-- such places. What the catalog has is from there.
ALTER TABLE collisions ADD COLUMN gained_partition INTEGER;
ALTER TABLE collisions ADD COLUMN gained_page INTEGER;
