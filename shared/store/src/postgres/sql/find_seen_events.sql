-- Position up to which every live subscription has finished; none: there is no live subscription.
SELECT min(seen) AS seen FROM subscriptions WHERE state = 'active' AND changes IS NULL
