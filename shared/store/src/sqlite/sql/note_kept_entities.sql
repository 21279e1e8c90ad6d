-- What the sweep of this cycle leaves, for those who look at it.
UPDATE cycles SET kept = ?3, unconfirmed = ?4, collisions = ?5 WHERE source_id = ?1 AND number = ?2
