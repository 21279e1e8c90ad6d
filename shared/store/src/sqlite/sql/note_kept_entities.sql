-- Records what the sweep of this cycle keeps, for people to see.
UPDATE cycles SET kept = ?3, unconfirmed = ?4, collisions = ?5 WHERE source_id = ?1 AND number = ?2
