-- Keeps the cursor of a running job whose lease holds; nothing otherwise.
UPDATE jobs SET cursor = ?3, rescues = 0, updated_at = ?4 WHERE id = ?1 AND token = ?2 AND state = 'running'
