-- Where a follower stands; no row: it never moved.
SELECT position FROM followers WHERE name = ?1
