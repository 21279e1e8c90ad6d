-- Only one process at a time syncs the sources with its configuration; the lock ends with the transaction.
SELECT pg_advisory_xact_lock($1)
