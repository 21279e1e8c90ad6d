-- Makes this transaction prefer hash joins: the planner has no statistics on a list of misses that was just written,
-- and a nested loop over it and the marks of a whole cycle would never finish.
SET LOCAL enable_nestloop = off; SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on
