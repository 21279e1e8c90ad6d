-- Deletes changes that newer ones of the same entities replace.
DELETE FROM changes WHERE sequence IN (SELECT value FROM json_each(?1))
