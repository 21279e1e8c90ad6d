-- Drift that the cycles of a source found, newest first.
SELECT cycle, found_at, missing, extra, diverged, differences FROM drifts WHERE source_id = ?1 ORDER BY cycle DESC LIMIT ?2
