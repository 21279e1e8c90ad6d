-- Which of these tables are not there, and whether the database can only be read (a standby, or set so).
SELECT
    ARRAY(SELECT t.name FROM unnest($1::TEXT[]) AS t (name) WHERE to_regclass(t.name) IS NULL) AS missing,
    current_setting('transaction_read_only')::BOOLEAN AS read_only
