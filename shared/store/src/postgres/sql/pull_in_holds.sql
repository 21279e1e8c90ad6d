-- Holds that last beyond $2 were written by a clock that has since been set back: they end at $1.
UPDATE sources SET hold_until = $1 WHERE hold_until > $2
