-- Ends transactions that hold the row `sequence` while their process, stopped or disconnected, does not send the rest
-- of its rows: idle_in_transaction_session_timeout does not catch them. Uses the database's clock. Returns how many.
SELECT count(pg_terminate_backend(a.pid)) AS ended
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
    AND a.state = 'active' AND a.wait_event = 'ClientRead' AND a.query LIKE '%COPY entities %'
    AND a.query_start < clock_timestamp() - $1::BIGINT * INTERVAL '1 millisecond'
