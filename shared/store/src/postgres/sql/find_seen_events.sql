-- Up to where every live subscription is done with; none: nobody follows.
SELECT min(seen) AS seen FROM subscriptions WHERE state = 'active' AND changes IS NULL
