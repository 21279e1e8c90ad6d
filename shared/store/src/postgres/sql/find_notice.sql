-- The newest event of a topic and key that people were told of by a subscription, or would have been again.
SELECT sequence, created_at FROM notices WHERE subscription = $1 AND topic = $2 AND key = $3
