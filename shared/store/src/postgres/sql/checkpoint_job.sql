-- Cursor and progress of a running job are kept if the lease holds; one that is not given stays.
UPDATE jobs j SET
    cursor = coalesce($3, j.cursor), progress = coalesce($4, j.progress), rescues = 0, updated_at = $5
WHERE j.id = $1 AND j.token = $2 AND j.state = 'running' AND by_index(j.id)
