-- Position up to which every live subscription and each of these followers ($1) has finished; none: there are none. A
-- follower that never moved has seen nothing.
SELECT min(r.seen) AS seen FROM (
    SELECT s.seen FROM subscriptions s WHERE s.state = 'active' AND s.changes IS NULL
    UNION ALL
    SELECT coalesce(f.position, 0) FROM unnest($1::TEXT[]) AS n (name) LEFT JOIN followers f ON f.name = n.name
) r
