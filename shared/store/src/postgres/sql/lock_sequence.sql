-- Until the commit, no other transaction can number a change.
SELECT value FROM counters WHERE name = 'sequence' FOR UPDATE
