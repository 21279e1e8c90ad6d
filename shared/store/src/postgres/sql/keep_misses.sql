-- What was missed so far stays until the source shows it again.
UPDATE misses SET kept = true WHERE source_id = $1 AND missed >= 1
