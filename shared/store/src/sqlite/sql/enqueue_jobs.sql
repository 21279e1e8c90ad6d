-- Inserts jobs or puts newer args in place of older ones; a running job continues with its old copy and runs again,
-- once the newest request is due. A due job counts as hinted at: the producer sends the hint right away.
INSERT INTO jobs (kind, key, fingerprint, args, state, due_at, hinted_at, trigger, trace, created_at, updated_at)
SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, 'waiting', value ->> 4,
    CASE WHEN value ->> 4 <= ?2 THEN ?2 ELSE 0 END, value ->> 5, value ->> 6, ?2, ?2
FROM json_each(?1)
WHERE true
ON CONFLICT (kind, key) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    args = excluded.args,
    trigger = excluded.trigger,
    trace = excluded.trace,
    state = CASE WHEN jobs.state = 'running' THEN jobs.state ELSE 'waiting' END,
    due_at = CASE WHEN jobs.state = 'running' THEN jobs.due_at ELSE excluded.due_at END,
    cursor = CASE WHEN jobs.state = 'running' THEN jobs.cursor END,
    progress = CASE WHEN jobs.state = 'running' THEN jobs.progress END,
    last_error = CASE WHEN jobs.state = 'running' THEN jobs.last_error END,
    attempt = CASE WHEN jobs.state = 'running' THEN jobs.attempt ELSE 0 END,
    rung = CASE WHEN jobs.state = 'running' THEN jobs.rung ELSE 0 END,
    rescues = CASE WHEN jobs.state = 'running' THEN jobs.rescues ELSE 0 END,
    again_at = CASE WHEN jobs.state = 'running' THEN excluded.due_at END,
    hinted_at = CASE WHEN jobs.state = 'running' THEN 0 ELSE excluded.hinted_at END,
    updated_at = ?2
WHERE jobs.fingerprint <> excluded.fingerprint
RETURNING kind, key, id, token, state
