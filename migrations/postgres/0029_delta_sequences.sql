-- The first number that the change feed could have given to what a delta wrote: a cycle that began before it did not miss it.
ALTER TABLE deltas ADD COLUMN sequence BIGINT NOT NULL DEFAULT 0;
