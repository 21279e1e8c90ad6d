-- Keeps cursor and progress of a running job whose lease holds; nothing otherwise.
UPDATE jobs SET
    cursor = coalesce(?3, cursor), progress = coalesce(?4, progress), rescues = 0, updated_at = ?5
WHERE id = ?1 AND token = ?2 AND state = 'running'
