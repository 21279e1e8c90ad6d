-- Positions of these deliveries in the log.
SELECT e.sequence, e.hook, e.delivery
FROM unnest($1::TEXT[], $2::TEXT[]) AS g (hook, delivery)
JOIN events e ON e.hook = g.hook AND e.delivery = g.delivery
