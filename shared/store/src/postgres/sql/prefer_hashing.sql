-- In this transaction big sets are joined by hashing: nothing is known about a list of misses that has just been made, and
-- a nested loop over it and the marks of a whole cycle would not end.
SET LOCAL enable_nestloop = off; SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on
