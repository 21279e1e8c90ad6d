-- Ends transactions that hold the row `sequence` while their process, stopped or cut off, does not send the rows it began to
-- send: idle_in_transaction_session_timeout does not see them. By the database's own clock. Says how many.
SELECT count(pg_terminate_backend(a.pid)) AS ended
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
    AND a.state = 'active' AND a.wait_event = 'ClientRead' AND a.query LIKE '%COPY entities %'
    AND a.query_start < clock_timestamp() - $1::BIGINT * INTERVAL '1 millisecond'
