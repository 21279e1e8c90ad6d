-- One process at a time makes the sources those of its configuration; the lock ends with the transaction.
SELECT pg_advisory_xact_lock($1)
