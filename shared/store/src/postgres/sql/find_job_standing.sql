-- A job's state, with what its cycle allows; locks the row.
SELECT j.state, j.source_id, j.cycle FROM jobs j WHERE j.id = $1 FOR UPDATE
