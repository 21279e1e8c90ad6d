-- Results of the checks of a source, newest first.
SELECT began_at, ended_at, missing, extra, diverged, differences, failure, unconfirmed FROM check_results
WHERE source_id = $1 ORDER BY began_at DESC LIMIT $2
