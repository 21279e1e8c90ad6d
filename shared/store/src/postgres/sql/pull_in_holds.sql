-- Holds that last beyond $2 were made by a clock that has been set back since: they end at $1.
UPDATE sources SET hold_until = $1 WHERE hold_until > $2
