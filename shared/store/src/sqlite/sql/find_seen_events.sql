-- Position up to which every live subscription and each of these followers (?1) has finished; none: there are none. A
-- follower that never moved has seen nothing.
SELECT min(seen) AS seen FROM (
    SELECT seen FROM subscriptions WHERE state = 'active' AND changes IS NULL
    UNION ALL
    SELECT coalesce(f.position, 0) FROM json_each(?1) AS n LEFT JOIN followers AS f ON f.name = n.value
)
