-- Creates or extends the worker's lease; never shortens it.
INSERT INTO workers AS w (worker, alive_until, started_at) VALUES ($1, $2, $3)
ON CONFLICT (worker) DO UPDATE SET alive_until = greatest(w.alive_until, excluded.alive_until)
