-- Which of these tables are missing, and whether the database is read-only (a standby, or configured so).
SELECT
    ARRAY(SELECT t.name FROM unnest($1::TEXT[]) AS t (name) WHERE to_regclass(t.name) IS NULL) AS missing,
    current_setting('transaction_read_only')::BOOLEAN AS read_only
