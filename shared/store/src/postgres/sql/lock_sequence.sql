-- From here to the commit no other transaction numbers a change.
SELECT value FROM counters WHERE name = 'sequence' FOR UPDATE
