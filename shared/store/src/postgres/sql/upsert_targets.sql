-- Inserts the targets of these lists (name, type) as configured; existing ones keep their positions.
INSERT INTO targets (name, target_type, place, created_at)
SELECT t.name, t.target_type, $3, $4 FROM unnest($1::TEXT[], $2::TEXT[]) AS t (name, target_type) ORDER BY t.name
ON CONFLICT (name) DO UPDATE SET target_type = excluded.target_type, configured = TRUE
