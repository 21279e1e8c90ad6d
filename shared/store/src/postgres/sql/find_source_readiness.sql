-- Whether requests to the source may continue.
SELECT s.state = 'active' AND s.hold_until <= $2 AS ready FROM sources s WHERE s.id = $1
