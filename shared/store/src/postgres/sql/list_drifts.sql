-- What the cycles of a source found that no event had told of, the newest first.
SELECT cycle, found_at, missing, extra, diverged, differences FROM drifts WHERE source_id = $1 ORDER BY cycle DESC LIMIT $2
