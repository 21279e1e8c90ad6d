-- The server's version as one number: 150004.
SELECT current_setting('server_version_num')
