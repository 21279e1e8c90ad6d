-- Newer changes of the same entities take the place of these.
DELETE FROM changes WHERE sequence IN (SELECT value FROM json_each(?1))
