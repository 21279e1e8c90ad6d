-- Keeps everything missed so far until the source shows it again.
UPDATE misses SET kept = true WHERE source_id = $1 AND missed >= 1
