-- As in pull_in_readings, of the cycles that compared deltas with their pages.
UPDATE sources SET deltas_from = ?1 WHERE deltas_from > ?2
