-- Position of a follower; no row: it never moved.
SELECT position FROM followers WHERE name = $1
