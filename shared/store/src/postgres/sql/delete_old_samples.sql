-- Deletes statistics of minutes before this one.
DELETE FROM samples WHERE minute < $1
