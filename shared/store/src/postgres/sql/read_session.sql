-- The server's version as one number (150004), whether this session has our settings, and whether it has those that its
-- plans depend on.
SELECT current_setting('server_version_num')::INTEGER AS version,
    current_setting('tideline.session', true) IS NOT DISTINCT FROM '1' AS is_configured,
    current_setting('enable_seqscan') = 'off' AND current_setting('enable_bitmapscan') = 'off' AS keeps_to_indexes
