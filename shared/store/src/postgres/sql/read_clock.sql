-- The database's clock in microseconds since 1970: the only statement that reads it.
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now_us
