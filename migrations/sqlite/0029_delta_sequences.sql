-- The first number that the change feed could have given to what a delta wrote: a cycle that began before it did not miss it.
ALTER TABLE deltas ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
