-- Deletes all but the newest hundred checks of a source.
DELETE FROM check_results WHERE source_id = $1 AND began_at < (
    SELECT min(began_at) FROM (
        SELECT began_at FROM check_results WHERE source_id = $1 ORDER BY began_at DESC LIMIT 100) AS newest)
