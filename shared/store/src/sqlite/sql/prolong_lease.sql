-- Makes or prolongs a worker's lease; never shortens it.
INSERT INTO workers (worker, alive_until, started_at) VALUES (?1, ?2, ?3)
ON CONFLICT (worker) DO UPDATE SET alive_until = max(alive_until, excluded.alive_until)
