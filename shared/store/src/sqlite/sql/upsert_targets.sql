-- Inserts the targets of this list (name, type) as configured; existing ones keep their positions.
INSERT INTO targets (name, target_type, place, created_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), ?2, ?3 FROM json_each(?1) WHERE TRUE
ON CONFLICT (name) DO UPDATE SET target_type = excluded.target_type, configured = 1
