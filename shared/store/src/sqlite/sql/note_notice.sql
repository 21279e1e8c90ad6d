-- Records the newest event of a topic and key. A replay moves it back.
INSERT INTO notices (subscription, topic, key, sequence, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (subscription, topic, key) DO UPDATE SET sequence = excluded.sequence, created_at = excluded.created_at
