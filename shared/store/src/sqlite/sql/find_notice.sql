-- The newest event of a topic and key of which a subscription notified people, or would have done so again.
SELECT sequence, created_at FROM notices WHERE subscription = ?1 AND topic = ?2 AND key = ?3
