-- What a worker runs, whether it knows or not.
SELECT id, token FROM jobs WHERE state = 'running' AND worker = ?1
